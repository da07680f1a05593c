package idtoken

import (
	"net/http"

	"github.com/helseid-go/sdk/internal/metadata"
)

// New makes a *tokenvalidation.IDTokenValidator for a client of the source's issuer.
// Its configuration has been checked by the caller. Package tokenvalidation sets it.
var New func(source *metadata.Source, clientID string, client *http.Client) any
