package exchange

import (
	"context"
	"fmt"
	"net/url"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/internal/metadata"
)

// The members of the metadata that name endpoints.
const (
	TokenEndpoint      = "token_endpoint"
	PAREndpoint        = "pushed_authorization_request_endpoint"
	AuthorizeEndpoint  = "authorization_endpoint"
	UserInfoEndpoint   = "userinfo_endpoint"
	RevocationEndpoint = "revocation_endpoint"
	EndSessionEndpoint = "end_session_endpoint"
)

// Endpoint finds an endpoint in the metadata. If the metadata must be fetched, all
// callers share one fetch, which is independent of any caller's context; each waits
// as long as its own context allows. No caller needs a goroutine of its own for that.
func (e *Exchange) Endpoint(ctx context.Context, name string) (*url.URL, error) {
	if document := e.Metadata.Current(); document != nil {
		return document.Endpoint(name)
	}
	fetched := e.fetches.DoChan("", func() (any, error) {
		if err := e.Work.Begin(); err != nil {
			return nil, err
		}
		defer e.Work.Done()
		return e.Metadata.Get(e.Work.Context())
	})
	select {
	case result := <-fetched:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*metadata.Document).Endpoint(name)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: wait for the metadata: %w", metadata.ErrUnavailable, ctx.Err())
	}
}

// InTurn calls ask when a request of this kind may be sent. The metadata has been
// fetched by then, so that ask waits only for the request itself.
func (e *Exchange) InTurn(ctx context.Context, kind *bulkhead.Bulkhead, ask func(turn *bulkhead.Turn) error) error {
	turn, err := kind.Join()
	if err != nil {
		return err
	}
	defer turn.Leave()
	if _, err := e.Endpoint(ctx, TokenEndpoint); err != nil {
		return err
	}
	if err := turn.Await(ctx); err != nil {
		return err
	}
	return ask(turn)
}
