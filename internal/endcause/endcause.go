// Package endcause carries with a context why sessions are being ended, between the
// packages of this library.
package endcause

import "context"

type key struct{}

// With says why sessions are ended with this context.
func With(ctx context.Context, cause string) context.Context {
	return context.WithValue(ctx, key{}, cause)
}

// Of returns why, or "" if nobody has said.
func Of(ctx context.Context) string {
	cause, _ := ctx.Value(key{}).(string)
	return cause
}
