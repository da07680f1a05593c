package inspect

import (
	"context"
	"errors"
	"time"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/cli"
	"github.com/helseid-go/sdk/internal/httpx"
	"github.com/helseid-go/sdk/internal/jwks"
	"github.com/helseid-go/sdk/internal/metadata"
	"github.com/helseid-go/sdk/internal/verification"
)

const fetchTimeout = 20 * time.Second

// checkSignature verifies a token's signature with the issuer's keys, if the issuer was
// named: only then is anything sent. It reports whether a validator can be asked about the
// whole token afterwards.
func (q questions) checkSignature(ctx context.Context, r *report, jwt string) (askable bool, err error) {
	if r.isBroken("token_too_long") {
		r.unchecked("token_signature", "the token is too long")
		return false, nil
	}
	if q.issuer == "" {
		r.unchecked("token_signature", "name the issuer with -issuer, and its keys are fetched")
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	client, transport := httpx.OrNew(nil)
	defer transport.CloseIdleConnections()
	keys := jwks.New(metadata.NewSource(q.issuer, client, "jwks_uri"), client)
	defer keys.Close()
	r.keeps("token_signature")
	var refused *verification.Error
	switch _, err = verification.Signature(ctx, keys, jwt); {
	case err == nil:
	case errors.As(err, &refused):
		r.breaks(string(refused.Reason), refused.Error())
		if refused.Reason != verification.ReasonSignature {
			r.unchecked("token_signature", "there is no key to check it with")
		}
	default:
		r.breaks("token_signature", "it could not be checked: "+cli.WithoutQuery(err).Error())
		return false, ctx.Err()
	}
	return true, nil
}
