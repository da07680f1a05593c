package otelhelseid

import "go.opentelemetry.io/otel/attribute"

// scope is the name of the meter and of the tracer.
const scope = "github.com/helseid-go/sdk/helseid/otelhelseid"

// The instruments. docs/monitoring.md says what they measure, and a test holds it to
// these names.
const (
	requestDuration = "http.client.request.duration" // a semantic convention's
	tokenDuration   = "helseid.client.token.duration"
	tokenLookups    = "helseid.client.token.lookups"
	proofDuration   = "helseid.client.proof.duration"
	clientRetries   = "helseid.client.retries"
	keyTimeLeft     = "helseid.client.key.time_left"
	keyEvents       = "helseid.client.key.events"
	guardDecisions  = "helseid.guard.decisions"
	guardDuration   = "helseid.guard.duration"
	replayDuration  = "helseid.replay_store.duration"
)

// The spans. A round trip's has the name that the semantic conventions give it: its
// method.
const (
	spanToken     = "helseid.token_request"
	spanWait      = "helseid.token_wait"
	spanRoundTrip = "POST"
	spanLogin     = "helseid.login_callback"
	spanGuard     = "helseid.guard"
)

// The events of spans.
const eventRetry = "helseid.retry"

// The attributes: those of the semantic conventions first.
const (
	attrErrorType = attribute.Key("error.type")
	attrMethod    = attribute.Key("http.request.method")
	attrStatus    = attribute.Key("http.response.status_code")
	attrRoute     = attribute.Key("http.route")
	attrServer    = attribute.Key("server.address")
	attrPort      = attribute.Key("server.port")
	attrURL       = attribute.Key("url.full")

	attrClientID    = attribute.Key("helseid.client.id")
	attrEndpoint    = attribute.Key("helseid.endpoint")
	attrRenewal     = attribute.Key("helseid.token.renewal")
	attrLookup      = attribute.Key("helseid.lookup.result")
	attrPeer        = attribute.Key("helseid.peer")
	attrRetryReason = attribute.Key("helseid.retry.reason")
	attrKeyEvent    = attribute.Key("helseid.key.event")
	attrHID         = attribute.Key("helseid.error.number")
	attrOutcome     = attribute.Key("helseid.guard.outcome")
	attrReason      = attribute.Key("helseid.guard.reason")
	attrNested      = attribute.Key("helseid.guard.nested")
	attrUnproven    = attribute.Key("helseid.guard.unproven")
)

// other is what the semantic conventions call a value that is not one of a known few.
const other = "_OTHER"
