package weblogin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/jose"

	"github.com/helseid-go/sdk/internal/redact"
)

// visit is what is remembered about a browser beside its session: an id that lasts
// until the browser is closed, and how many logins in a row have led to no page. It
// is kept in a session cookie that is as secret as the session's id. A user who
// forges one harms nobody else.
type visit struct {
	id     string
	rounds int       // logins that have finished since a page was last shown
	at     time.Time // when the last of them finished
	why    Loop      // why its session was not accepted
	stayed bool      // a link of another site was led back to the session
}

// Loop says why the sessions of several logins in a row were not accepted. The
// strings are stable.
type Loop string

// The reasons.
const (
	// LoopNoCookie means that the browser sends no session cookie: it does not keep
	// it, or a proxy removes it. Browsers do not keep a Secure cookie that comes over
	// plain http.
	LoopNoCookie Loop = "no_cookie"

	// LoopEnded means that the session has ended at once, or is not in the session
	// store: the store loses what is written or is not shared between processes,
	// their clocks or DPoP keys differ, or HelseID ends the session.
	LoopEnded Loop = "ended"

	// LoopTooOld means that the session is older than [Config.MaxSessionAge] or than
	// [Web.RequireRecent] permits, or has been unused for longer than
	// [Config.IdleTimeout].
	LoopTooOld Loop = "too_old"

	// LoopOtherApplication means that the cookie is that of another application's
	// session ([Config.Application]).
	LoopOtherApplication Loop = "other_application"

	// LoopLevel means that the session does not have the security level that the page
	// requires.
	LoopLevel Loop = "level"

	// LoopPage means that there is a session, but that a page of the application
	// still requires a login.
	LoopPage Loop = "page"
)

const (
	// maxRounds is how many logins in a row may finish without a page between them,
	// and roundTime how far apart two of them may be.
	maxRounds = 5
	roundTime = 2 * time.Minute

	visitIDSize = 32
)

// visitOf reads the browser's cookie.
func (w *Web) visitOf(r *http.Request) (v visit) {
	value, _ := w.cookies.value(r, w.cookies.visit)
	parts := strings.Split(value, ".")
	if len(parts) != 5 || len(parts[0]) != visitIDSize {
		return visit{}
	}
	v.id, v.stayed = parts[0], parts[4] == "stayed"
	rounds, err := strconv.ParseUint(parts[1], 10, 8)
	at, errAt := strconv.ParseInt(parts[2], 10, 64)
	if v.at = time.Unix(at, 0); err == nil && errAt == nil && younger(v.at, time.Now(), roundTime) {
		v.rounds = int(rounds)
		if why := Loop(parts[3]); loopCauses[why] != nil {
			v.why = why
		}
	}
	return v
}

// setVisit writes the cookie.
func (w *Web) setVisit(rw http.ResponseWriter, v visit) {
	if v.id == "" {
		v.id = jose.NewID()
	}
	stayed := ""
	if v.stayed {
		stayed = "stayed"
	}
	w.cookies.set(rw, w.cookies.visit, fmt.Sprintf("%s.%d.%d.%s.%s", v.id, v.rounds, v.at.Unix(), v.why, stayed), 0)
}

// nextRound counts a finished login.
func (v visit) nextRound() visit {
	v.rounds, v.at, v.why, v.stayed = min(v.rounds+1, maxRounds), time.Now(), "", false
	return v
}

// ended resets the count after a page was shown.
func (v visit) ended() visit { return visit{id: v.id} }

// isLoop reports that another login would lead to no page either.
func (v visit) isLoop() bool { return v.rounds >= maxRounds }

// isUnderWay reports that there is something to reset when a page is shown.
func (v visit) isUnderWay() bool { return v.rounds > 0 || v.stayed }

// loopCauses are the reasons in the log.
var loopCauses = map[Loop]error{
	LoopNoCookie:         redact.Words("the browser has sent no cookie of the last session: is it Secure and the page plain http, or does a proxy take it away?"),
	LoopEnded:            redact.Words("the last session has ended at once or is not in the session store: does the store keep what is written, is it shared, and do clocks and DPoP keys agree?"),
	LoopTooOld:           redact.Words("the last session was older than MaxSessionAge or a page permits: are the clocks right?"),
	LoopOtherApplication: redact.Words("the last session was another application's: do two have the same CookieName on one host, or one two values of Application?"),
	LoopLevel:            redact.Words("the last session had not the security level that the page demands"),
	LoopPage:             redact.Words("the last session was good, and a page of the application demands a login all the same"),
}

// endLoop answers a browser that would be redirected for ever, and lets it start
// again.
func (w *Web) endLoop(rw http.ResponseWriter, r *http.Request, v visit, returnTo string, why Loop) {
	if v.why != "" {
		why = v.why
	}
	w.setVisit(rw, v.ended())
	w.fail(rw, r, Problem{Kind: KindLoop, Status: http.StatusBadRequest, LoginURL: w.loginURL(returnTo, demands{}), Loop: why}, loopCauses[why])
}
