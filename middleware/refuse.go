package middleware

import (
	"net/http"
	"time"
)

// Refuse is for a handler that finds out, after reading the request, that the caller
// may not do this. The error is treated like one of a [Requirement]: with a [*Denial]
// the response has its status and challenge, an error that wraps [ErrUnavailable] gives
// a 503, and any other error, also nil, gives a 403 without details. A second audit
// record with the caller's name is written, in addition to the one for accepting the
// request.
//
// Call it before anything is written, and return from the handler afterwards.
func (m *Middleware) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	if err == nil {
		err = &Denial{Reason: ReasonRequirement, Detail: detailRequirement}
	}
	request := ofHTTP(r)
	decision := m.conclude(r.Context(), request, time.Now(), func(found *caller) *Problem {
		if inner := m.callerOf(r.Context()); inner != nil {
			found.admitAgain(inner)
		}
		return requirementProblem(err)
	})
	m.answer(w, r, decision)
}
