package probe

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

var proofQuestions = []question{
	{
		"proof_reuse", "Is a DPoP proof accepted twice at the token endpoint?", "two token requests with one proof",
		func(ctx context.Context, l *lab) (found answer, err error) {
			if _, err := l.try(ctx, attempt{}); err != nil { // for a nonce that is good
				return found, err
			}
			endpoint, err := l.document.Endpoint("token_endpoint")
			if err != nil {
				return found, err
			}
			proof, err := l.proof(ctx, http.MethodPost, endpoint.String(), "", attempt{})
			if err != nil {
				return found, err
			}
			var last reply
			for _, use := range []string{"first use", "second use"} {
				if last, err = l.send(ctx, attempt{sentProof: proof}); err != nil {
					return found, err
				}
				found.see(use, last)
			}
			found.text = yesNo(last.ok())
			return found, nil
		},
	},
	{
		"proof_time", "How far may the iat of a proof be from HelseID's time, at the token endpoint?", "token requests with proofs that are dated earlier and later",
		func(ctx context.Context, l *lab) (found answer, err error) {
			dated := func(sign time.Duration) func(time.Duration) attempt {
				return func(step time.Duration) attempt {
					return attempt{proof: func(_, claims map[string]any) { claims["iat"] = l.now().Add(sign * step).Unix() }}
				}
			}
			old, tooOld, err := l.reach(ctx, &found, "old", seconds(5, 10, 20, 30, 60, 120, 300, 600, 3600), dated(-1))
			if err != nil {
				return found, err
			}
			early, tooEarly, err := l.reach(ctx, &found, "in the future", seconds(5, 10, 20, 30, 60, 120, 300, 600, 3600), dated(+1))
			found.text = fmt.Sprintf("in the past: %s; in the future: %s", between(old, tooOld), between(early, tooEarly))
			return found, err
		},
	},
	{
		"bearer_token", "What does the token endpoint answer to a request without a proof?", "a token request without a DPoP header",
		func(ctx context.Context, l *lab) (found answer, err error) {
			got, err := l.try(ctx, attempt{noProof: true})
			found.see("without a proof", got)
			found.text = "a refusal"
			if got.ok() {
				found.text = "a token of type " + shown(got.text("token_type"))
			}
			return found, err
		},
	},
}
