package middleware

import (
	"net/http"
	"time"
)

// Refuse is for a handler that finds out itself that the caller may not do this, when
// it has read what the request is about. The error is like one of a [Requirement]: a
// *Denial says why, and the answer has its status and challenge; one that wraps
// [ErrUnavailable] gives a 503, and any other, also nil, a 403 that tells nothing.
// There is a further audit record, with the caller's name, beside that of letting the
// request in.
//
// Nothing must have been written yet, and the handler returns after it.
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
