package grpccredentials_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/helseid-go/sdk/dpop"
	"github.com/helseid-go/sdk/helseid/grpccredentials"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
)

// challenge is the metadata of a refusal with this error, and more.
func challenge(code string, pairs ...string) metadata.MD {
	found := metadata.Pairs(pairs...)
	found.Set("www-authenticate", fmt.Sprintf("DPoP error=%q", code))
	return found
}

func unauthenticated() error { return status.Error(codes.Unauthenticated, "no") }

// A unary call is sent once more with the nonce that the API demands, and later calls
// have it from the start. A stream fails, and the next one has the nonce.
func TestNonces(t *testing.T) {
	t.Parallel()
	secret := sha256.Sum256([]byte("nonces"))
	nonces, err := dpop.NewNonceIssuer(dpop.NonceIssuerConfig{Secret: secret[:]})
	require.NoError(t, err)
	demanding := worldOptions{auth: func(c *middleware.Config) { c.Proof.Nonces = nonces }}
	demand := func() (metadata.MD, error) {
		return challenge("use_dpop_nonce", "dpop-nonce", nonces.Nonce(), "reason", "proof_nonce"), unauthenticated()
	}
	t.Run("a unary call", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, demanding)
		w.refuses = func(_ string, call int) (metadata.MD, error) {
			if call == 1 {
				return demand()
			}
			return nil, nil
		}
		for range 3 {
			_, err := w.unary(t.Context())
			require.NoError(t, err)
		}
		require.NoError(t, w.stream(t.Context()))
		calls := w.received()
		require.Len(t, calls, 5)
		require.Nil(t, proof(t, calls[0])["nonce"])
		for _, call := range calls[1:] {
			require.True(t, nonces.Valid(proof(t, call)["nonce"].(string)))
		}
	})
	t.Run("a stream", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, demanding)
		w.refuses = func(_ string, call int) (metadata.MD, error) {
			if call == 1 {
				return demand()
			}
			return nil, nil
		}
		err := w.stream(t.Context())
		var refused *grpccredentials.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "proof_nonce", refused.Reason)
		require.NoError(t, w.stream(t.Context()))
		require.Len(t, w.received(), 2)
	})
	t.Run("never satisfied", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.refuses = func(_ string, call int) (metadata.MD, error) {
			return challenge("use_dpop_nonce", "dpop-nonce", fmt.Sprint("nonce-", call)), unauthenticated()
		}
		_, err := w.unary(t.Context())
		require.Equal(t, codes.Unauthenticated, status.Code(err))
		require.Len(t, w.received(), 2)
	})
	t.Run("of an accepted call", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, worldOptions{})
		w.refuses = func(_ string, call int) (metadata.MD, error) {
			if call == 1 {
				return metadata.Pairs("dpop-nonce", "newest"), status.Error(codes.NotFound, "no such patient")
			}
			return nil, status.Error(codes.NotFound, "no such patient")
		}
		for range 2 {
			_, err := w.unary(t.Context())
			require.Equal(t, codes.NotFound, status.Code(err))
		}
		require.Equal(t, "newest", proof(t, w.received()[1])["nonce"])
	})
}

// A refused token is replaced as by helseid's own HTTP client: if it is not new, and
// once for all calls.
func TestRefusedToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldOptions{})
		_, err := w.unary(t.Context())
		require.NoError(t, err)
		old := w.received()[0].Get("authorization")[0]
		w.mu.Lock()
		w.refuses = func(_ string, call int) (metadata.MD, error) {
			if w.received()[call-1].Get("authorization")[0] == old {
				return challenge("invalid_token", "reason", "token_unknown_key"), unauthenticated()
			}
			return nil, nil
		}
		w.mu.Unlock()

		_, err = w.unary(t.Context())
		var refused *grpccredentials.RefusedError
		require.ErrorAs(t, err, &refused, "a token that is younger than 30 seconds stays")
		require.Equal(t, "token_unknown_key", refused.Reason)
		require.Equal(t, 1, w.tokenRequests())

		<-time.After(30 * time.Second)
		var group sync.WaitGroup
		errs := make(chan error, 16)
		for range cap(errs) {
			group.Go(func() {
				_, err := w.unary(t.Context())
				errs <- err
			})
		}
		group.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		require.Equal(t, 2, w.tokenRequests())
		_ = w.conn.Close()
		w.server.Stop()
		w.auth.Close()
		w.client.Close()
		w.helseid.Close()
	})
}

// A refusal keeps the API's code and tells what the user can do. Other errors stay as
// they are.
func TestRefusedError(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	var trailer metadata.MD
	var answer error
	w.refuses = func(string, int) (metadata.MD, error) { return trailer, answer }
	calls := []func() error{
		func() error { _, err := w.unary(t.Context()); return err },
		func() error { return w.stream(t.Context()) },
	}
	for _, call := range calls {
		trailer = metadata.Pairs("www-authenticate", `DPoP error="insufficient_user_authentication", acr_values="Level4", max_age="60"`, "reason", "security_level")
		answer = status.Error(codes.Unauthenticated, "log in at level 4")
		err := call()
		var refused *grpccredentials.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "security_level", refused.Reason)
		require.Equal(t, identity.SecurityLevel4, refused.StepUp.SecurityLevel)
		require.Equal(t, time.Minute, refused.StepUp.MaxAge)
		require.Equal(t, codes.Unauthenticated, status.Code(err))
		require.ErrorContains(t, err, "log in at level 4")

		trailer, answer = metadata.Pairs("www-authenticate", "DPoP"), status.Error(codes.PermissionDenied, "no")
		require.ErrorAs(t, call(), &refused)
		require.Empty(t, refused.Reason)
		require.Nil(t, refused.StepUp)
		require.Equal(t, codes.PermissionDenied, refused.GRPCStatus().Code())

		for _, other := range []error{status.Error(codes.Unauthenticated, "no"), status.Error(codes.NotFound, "no"), status.Error(codes.Unavailable, "no")} {
			trailer, answer = metadata.Pairs("reason", "x"), other
			err := call()
			require.Equal(t, status.Code(other), status.Code(err))
			require.NotErrorAs(t, err, &refused)
		}
	}
	require.Len(t, w.received(), 10, "none of them is sent again")
}

// An API's odd answers harm nobody.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, worldOptions{})
	var trailer metadata.MD
	w.refuses = func(string, int) (metadata.MD, error) { return trailer, unauthenticated() }
	for _, trailer = range []metadata.MD{
		metadata.Pairs("dpop-nonce", "a", "dpop-nonce", "b", "www-authenticate", `DPoP error="use_dpop_nonce"`),
		metadata.Pairs("dpop-nonce", "a b", "www-authenticate", `DPoP error="use_dpop_nonce"`),
		metadata.Pairs("dpop-nonce-bin", "\x00\xff", "www-authenticate", `,,,"`),
		metadata.Pairs("www-authenticate", "", "reason", "a", "reason", "b"),
	} {
		before := len(w.received())
		_, err := w.unary(context.Background())
		require.Equal(t, codes.Unauthenticated, status.Code(err))
		require.Equal(t, codes.Unauthenticated, status.Code(w.stream(context.Background())))
		require.Len(t, w.received(), before+2)
	}
}
