package weblogin

import (
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid"
)

// freshLogin is how young a login is if another one would not be younger in an
// API's eyes: that API would send the user round for ever.
const freshLogin = time.Minute

// StepUp is for a handler below Require whose call to an API has been answered
// with a demand for another login (helseid.StepUpOf): a higher security level, or
// assurance level, or a user who has authenticated more recently. It sends the browser to that login
// and back to the page, as RequireLevel does and with nobody else in the user's
// place, and reports true: the handler writes nothing more.
//
// It reports false, and has written nothing, if the answer is another one or if
// no login would help, because the user has that level and has just
// authenticated. Then the API does not see the level in its tokens: its owner
// chooses in Selvbetjening which claims they hold.
func (w *Web) StepUp(rw http.ResponseWriter, r *http.Request, response *http.Response) bool {
	wanted, ok := helseid.StepUpOf(response)
	session := Session(r.Context())
	if !ok || session == nil {
		return false
	}
	switch user := session.User(); {
	case user.SecurityLevel < wanted.SecurityLevel, user.AssuranceLevel < wanted.AssuranceLevel:
		w.demand(rw, r, Problem{
			Kind: KindLevelTooLow, Status: http.StatusForbidden,
			SecurityLevel: wanted.SecurityLevel, AssuranceLevel: wanted.AssuranceLevel,
		}, "", LoopLevel)
	case wanted.MaxAge > 0 && !younger(authenticatedAt(session), time.Now(), max(wanted.MaxAge, freshLogin)+1):
		w.demand(rw, r, Problem{Kind: KindLoginRequired, Status: http.StatusUnauthorized}, helseid.PromptLogin, LoopPage)
	default:
		return false
	}
	return true
}
