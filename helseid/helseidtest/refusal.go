package helseidtest

import (
	"net/http"

	"github.com/helseid-go/sdk/helseid/helseidtest/internal/answer"
)

// refusal is an OAuth error response (RFC 6749 section 5.2).
type refusal struct {
	status      int
	code        string
	description string
}

func invalidRequest(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_request", description}
}

func invalidClient(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_client", description}
}

func invalidScope(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_scope", description}
}

func invalidGrant(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_grant", description}
}

func invalidTarget(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_target", description}
}

func unauthorizedClient(description string) *refusal {
	return &refusal{http.StatusBadRequest, "unauthorized_client", description}
}

func (r *refusal) write(w http.ResponseWriter) {
	answer.JSON(w, r.status, map[string]string{"error": r.code, "error_description": r.description})
}

func invalidToken(description string) *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_token", description}
}
