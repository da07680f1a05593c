// Package callcontext names what the context of a call of an API can choose for it.
package callcontext

import "context"

// Choice is the key of a context's value.
type Choice int

// What a context can choose.
const (
	TokenRequest Choice = iota // helseid.WithTokenRequest
	Organization               // helseid.ForOrganization
	SubjectToken               // helseid.WithSubjectToken
)

// Without returns a context that chooses nothing and is the same otherwise. It is for
// calls that a client makes in its own name while it serves somebody's request.
func Without(ctx context.Context) context.Context {
	for choice := TokenRequest; choice <= SubjectToken; choice++ {
		if ctx.Value(choice) != nil {
			ctx = context.WithValue(ctx, choice, nil)
		}
	}
	return ctx
}
