package weblogin

import (
	"net/http"
	"time"

	"github.com/helseid-go/sdk/helseid"
)

// freshLogin is the age below which a login counts as new: a further one would not
// satisfy the API or page either, and the user would be redirected for ever.
const freshLogin = time.Minute

// StepUp is for a handler behind [Web.Require] whose call to an API was answered with
// a challenge to log in again ([helseid.StepUpOf]): at a higher security level or
// assurance level, or with a more recent authentication. It sends the browser to that
// login and back to the page, accepts only the same user as [Web.RequireLevel] does,
// and returns true: the handler must write nothing more.
//
// It returns false, and has written nothing, if the answer is no such challenge or if no
// login would help, because the user has that level and has just authenticated. In
// that case the API does not see the level in its tokens: its owner chooses in
// Selvbetjening which claims they contain.
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
