package call

import (
	"bytes"
	"io"
	"net/http"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/tokenvalidation"
)

const (
	tokenClock = "the API takes the token for one of another time: this machine's clock or the API's is off; \"helseid doctor\" compares this machine's with HelseID's"
	proofClock = "the API takes the proof for one of another time: this machine's clock or the API's is off; \"helseid doctor\" compares this machine's with HelseID's"
)

// adviceByReason replaces the advice about an error when the body gives one of the reasons
// of this library's middleware. The error comes first: a body alone explains no challenge.
var adviceByReason = map[string]map[string]string{
	"invalid_token": {
		string(tokenvalidation.ReasonAudience): "the token is not for this API, or for other APIs too: ask for this API's scopes alone with -scope, or name it with -resource; " +
			"\"helseid token\" shows the token's audience (aud)",
		string(tokenvalidation.ReasonIssuer):  "the token comes from another environment than the one that the API trusts: take the configuration file of the API's environment",
		string(tokenvalidation.ReasonKey):     "the API does not know the key that has signed the token: the token comes from another environment, or from a server that has started anew",
		string(tokenvalidation.ReasonExpired): tokenClock,
		string(tokenvalidation.ReasonNotYet):  tokenClock,
	},
	"invalid_dpop_proof": {
		string(dpop.ReasonURI): "the proof is for the URL of this call, and the API is known to itself under another: call it there (127.0.0.1 and localhost are two names), " +
			"or, if it is behind a proxy, tell the API its public address (PublicURL in middleware.Config)",
		string(dpop.ReasonMethod):      "something between here and the API changes the method: the proof is for the one that was sent",
		string(dpop.ReasonTime):        proofClock,
		string(dpop.ReasonReplayed):    "the API has seen this proof before: something in between sends a request twice, or the API checks it twice",
		string(dpop.ReasonBeforeStart): "the API has just been started, and refuses proofs from before: try again",
	},
}

// maxProblem bounds what is looked at of the body of a refusal, in bytes.
const maxProblem = 16 << 10

// reasonOf is the member reason of a problem document (RFC 9457), as this library's
// middleware writes it, or "". The body can still be read from the beginning.
func reasonOf(response *http.Response) string {
	if response.Body == nil || !httpx.IsJSON(response.Header) {
		return ""
	}
	head, _ := io.ReadAll(io.LimitReader(response.Body, maxProblem)) // an error comes again when the rest is read
	response.Body = &rejoined{io.MultiReader(bytes.NewReader(head), response.Body), response.Body}
	document, err := jose.ParseObject(head)
	if err != nil {
		return ""
	}
	reason, _ := document.Get("reason").Text()
	return reason
}

// rejoined is a body of which the beginning has been read.
type rejoined struct {
	io.Reader
	io.Closer
}
