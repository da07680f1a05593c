package probe

import (
	"context"
	"fmt"
	"time"
)

var nonceQuestions = []question{
	{
		"nonce_demanded", "Does the token endpoint demand a DPoP nonce?", "a token request without a nonce",
		func(ctx context.Context, l *lab) (found answer, err error) {
			none := ""
			got, err := l.try(ctx, attempt{nonce: &none})
			found.see("without a nonce", got)
			found.text = yesNo(got.code == "use_dpop_nonce")
			return found, err
		},
	},
	{
		"nonce_reuse", "Can a nonce be used more than once?", "a request without a nonce, and two with the nonce that it brings",
		func(ctx context.Context, l *lab) (found answer, err error) {
			nonce, err := l.freshNonce(ctx)
			if err != nil {
				return found, err
			}
			first, err := l.try(ctx, attempt{nonce: &nonce})
			if err != nil {
				return found, err
			}
			second, err := l.try(ctx, attempt{nonce: &nonce})
			if err != nil {
				return found, err
			}
			found.see("first use", first)
			found.see("second use", second)
			if first.nonce != "" {
				found.seen = append(found.seen, "the answer to the first use brings a new nonce")
			}
			found.text = yesNo(second.ok())
			return found, nil
		},
	},
}

// waitingQuestions take as long as -patience allows.
var waitingQuestions = []question{{
	"nonce_lifetime", "How long can a nonce be used?", "a nonce is asked for and used after a wait, which grows up to -patience",
	func(ctx context.Context, l *lab) (found answer, err error) {
		var accepted, refused time.Duration
		for _, age := range seconds(10, 30, 60, 120, 300, 600, 1800, 3600) {
			if age > l.patience {
				break
			}
			nonce, err := l.freshNonce(ctx)
			if err != nil {
				return found, err
			}
			l.note("waiting %v for the age of a nonce", age)
			if !l.sleep(ctx, age) {
				return found, ctx.Err()
			}
			got, err := l.try(ctx, attempt{nonce: &nonce})
			if err != nil {
				return found, err
			}
			found.see(fmt.Sprintf("%v old", age), got)
			if !got.ok() {
				refused = age
				break
			}
			accepted = age
		}
		if accepted+refused == 0 {
			return found, notAskedError("-patience is shorter than ten seconds")
		}
		found.text = between(accepted, refused)
		return found, nil
	},
}}

// freshNonce asks for a nonce, and makes sure that there is one.
func (l *lab) freshNonce(ctx context.Context) (string, error) {
	none := ""
	got, err := l.try(ctx, attempt{nonce: &none})
	if err == nil && got.nonce == "" {
		err = notAskedError("HelseID gives no nonce")
	}
	return got.nonce, err
}
