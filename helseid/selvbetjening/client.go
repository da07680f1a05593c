package selvbetjening

import (
	"net/http"
	"net/url"

	"github.com/helseid-go/sdk/internal/httpx"
)

// Scope is the scope that a client needs to use the API for itself.
const Scope = "nhn:selvbetjening/client"

// The paths of the API. HelseID's older names for some of them are not used.
const (
	pathClient      = "/v1/client"
	pathSecret      = "/v1/client-secret"
	pathDelegations = "/v1/multi-tenant-delegations"
)

// Client reads and changes the registration of one client of HelseID's. It is safe for
// concurrent use and needs no Close of its own.
type Client struct {
	unprintable

	api      *http.Client
	base     *url.URL
	config   Config
	updating chan struct{} // holds one element while a registration is being changed
}

// New checks the configuration, reports all its mistakes at once (they wrap
// [ErrConfig]) and returns the client. It makes no network call.
func New(config Config) (*Client, error) {
	config, base, err := config.checked()
	if err != nil {
		return nil, err
	}
	api := httpx.NoRedirect(config.Client.HTTPClient(config.tokenRequest(base)))
	return &Client{api: api, base: base, config: config, updating: make(chan struct{}, 1)}, nil
}
