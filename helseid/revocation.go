package helseid

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/helseid-go/sdk/helseid/internal/bulkhead"
	"github.com/helseid-go/sdk/helseid/internal/exchange"
	"github.com/helseid-go/sdk/helseid/internal/lifecycle"
	"github.com/helseid-go/sdk/internal/clock"
)

// revoker has HelseID revoke refresh tokens that will not be used any more (RFC
// 7009).
type revoker struct {
	revoke func(ctx context.Context, refreshToken string) error
	outbox *outbox
	work   *lifecycle.Lifecycle
	logger *slog.Logger

	revoking atomic.Int64 // revocations that could not be stored
}

// maxRevoking bounds how many tokens of ended logins and sessions are kept in this
// process's memory because the store failed.
const maxRevoking = 10_000

// revokeWith asks HelseID to revoke refresh tokens.
func revokeWith(requests *exchange.Exchange) func(ctx context.Context, refreshToken string) error {
	return func(ctx context.Context, refreshToken string) error {
		err := requests.InTurn(ctx, requests.Budgets.Revocations, func(turn *bulkhead.Turn) error {
			_, err := requests.Do(ctx, turn, exchange.Request{
				Endpoint:   exchange.RevocationEndpoint,
				Parameters: url.Values{"token": {refreshToken}, "token_type_hint": {grantRefreshToken}},
			})
			return err
		})
		if err != nil {
			return fmt.Errorf("revoke the refresh token: %w", err)
		}
		return nil
	}
}

// revokeEnded revokes the refresh token of a session that has ended. If HelseID does
// not do it now, it is asked again later: from the outbox, or from memory if the
// store has failed.
func (r *revoker) revokeEnded(ctx context.Context, until time.Time, refreshToken string) error {
	if refreshToken == "" {
		return nil
	}
	err := r.revoke(ctx, refreshToken)
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	if err == nil {
		r.outbox.unpost(storing, outboxEntry{RefreshToken: refreshToken})
		return nil
	}
	r.keepRevocation(storing, refreshToken, until)
	return err
}

// keepRevocation makes sure that a token is revoked later.
func (r *revoker) keepRevocation(ctx context.Context, refreshToken string, until time.Time) {
	entry := revocation(refreshToken, time.Now().Add(outboxWait(1)), until)
	if r.outbox.post(ctx, entry) == nil {
		r.outbox.deliverLater()
		return
	}
	if r.revoking.Load() >= maxRevoking || r.work.Begin() != nil {
		return
	}
	r.revoking.Add(1)
	go func() {
		defer r.work.Done()
		defer r.revoking.Add(-1)
		keepTrying(r.work, func(ctx context.Context) bool {
			if r.outbox.post(ctx, entry) != nil {
				return r.revoke(ctx, refreshToken) == nil
			}
			r.outbox.deliverLater()
			return true
		})
	}()
}

const quietTimeout = 5 * time.Second

// revokeEndedQuietly is revokeEnded for several tokens, within a short time limit. It
// skips empty ones.
func (r *revoker) revokeEndedQuietly(ctx context.Context, refreshTokens ...string) {
	r.quietly(ctx, refreshTokens, func(ctx context.Context, refreshToken string) error {
		return r.revokeEnded(ctx, time.Now().Add(sessionLifetime), refreshToken)
	})
}

// revokeQuietly revokes tokens that are no longer needed and are not in the outbox.
// It skips empty ones.
func (r *revoker) revokeQuietly(ctx context.Context, refreshTokens ...string) {
	r.quietly(ctx, refreshTokens, func(ctx context.Context, refreshToken string) error {
		err := r.revoke(ctx, refreshToken)
		if err != nil && !isHopeless(err) {
			storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
			defer cancel()
			r.keepRevocation(storing, refreshToken, time.Now().Add(sessionLifetime))
		}
		return err
	})
}

func (r *revoker) quietly(ctx context.Context, refreshTokens []string, revoke func(context.Context, string) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quietTimeout)
	defer cancel()
	failed := 0
	for _, refreshToken := range refreshTokens {
		if refreshToken != "" && revoke(ctx, refreshToken) != nil {
			failed++
		}
	}
	if failed > 0 {
		r.logger.WarnContext(ctx, "refresh tokens of sessions that have ended were not revoked yet", slog.Int("tokens", failed))
	}
}

// revokeLater revokes a refresh token that another process is using, after a while.
// That process revokes the token's successor, unless it has ended: then this token is
// the newest.
func (r *revoker) revokeLater(refreshToken string) {
	if r.work.Begin() != nil {
		return
	}
	go func() {
		defer r.work.Done()
		clock.Sleep(r.work.Context(), refreshTimeout)
		r.revokeQuietly(lifecycle.Unattended(), refreshToken)
	}()
}
