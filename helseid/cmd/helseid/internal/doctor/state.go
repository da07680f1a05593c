package doctor

import (
	"cmp"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/clientassertion"
	"github.com/helseid-go/sdk/helseid"
)

// state is what the steps know so far. A field that a failed step has not filled is
// zero, and a step that needs it is not tried.
type state struct {
	options options
	target  *url.URL // of the API, or nil
	stdin   io.Reader

	data      []byte // the file's content, or nil
	config    helseid.Config
	faults    []error  // of the file's members, but for the key
	keyFaults []error  // of the key
	issuer    *url.URL // nil if there is none that can be used

	network *network
	contact *contact // with HelseID, or nil

	ahead    time.Duration // how far this machine's clock is ahead of HelseID's, if that is too far
	metadata bool          // the metadata can be used

	client       *helseid.Client
	organization clientassertion.Organization // that HelseID takes
	refused      *helseid.TokenError          // of the organisation
	base         *helseid.Token               // with all that the client has, or nil
	whyNoToken   string
	pending      map[string]string // scopes that wait for an approval, and the reason

	request     helseid.TokenRequest // for the API
	token       *helseid.Token       // for the API, or nil
	whyNoScoped string

	apiNonces atomic.Int64 // demands of APIs for a nonce
}

func newState(given options, target *url.URL, stdin io.Reader) *state {
	return &state{options: given, target: target, stdin: stdin, network: newNetwork()}
}

func (s *state) close() {
	if s.client != nil {
		s.client.Close()
	}
	s.network.transport.CloseIdleConnections()
}

// asked is what the flags ask a token for.
func (s *state) asked() helseid.TokenRequest { return s.options.token.Request() }

// clientFor makes the client, or returns nil if the configuration cannot be used: the
// steps before have said why.
func (s *state) clientFor() *helseid.Client {
	if s.client != nil || s.issuer == nil || len(s.keyFaults) > 0 {
		return s.client
	}
	config := s.config
	config.Issuer = s.issuer.String()
	config.HTTPClient = &http.Client{Transport: s.network.transport}
	// They end before the step does, since their errors say more.
	config.RequestTimeout = s.options.timeout * 9 / 10
	config.APIHeaderTimeout = config.RequestTimeout
	config.TokenRetries = -1
	config.OnEvent = s.observe
	if client, err := helseid.New(config); err == nil {
		s.client = client
	}
	return s.client
}

// file is the name of the configuration file in texts.
func (s *state) file() string {
	if s.options.client.File == "-" {
		return "the configuration"
	}
	return s.options.client.File
}

// selvbetjeningPage is where a person looks at the client's registration.
func (s *state) selvbetjeningPage() string {
	return cmp.Or(selvbetjeningPages[helseid.Environment(s.issuerText())], "HelseID Selvbetjening")
}

var selvbetjeningPages = map[helseid.Environment]string{
	helseid.Production: "HelseID Selvbetjening (https://selvbetjening.nhn.no)",
	helseid.Test:       "HelseID Selvbetjening (https://selvbetjening.test.nhn.no)",
}

func (s *state) issuerText() string {
	if s.issuer == nil {
		return ""
	}
	return s.issuer.String()
}
