package guides_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/helseidtest"
	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/middleware"
	"github.com/helseid-go/sdk/tokenvalidation"
)

func TestProtectAnAPI(t *testing.T) {
	server := helseidtest.NewServer(t)
	// region api
	config := middleware.Config{
		Issuer:    helseid.Production.Issuer(),
		Audience:  "nhn:some-api", // the API's short name in HelseID
		PublicURL: "https://api.example.no",
		Audit:     middleware.AuditLog(slog.Default()),
	}
	config.Issuer = server.Issuer() // hide
	auth, err := middleware.New(config)
	require.NoError(t, err)
	defer auth.Close()

	clinician := middleware.All(middleware.Scope("nhn:some-api/read"), middleware.HPRNumber(), middleware.SecurityLevel(4))
	nightly := middleware.All(middleware.System(), middleware.Scope("nhn:some-api/batch"))

	mux := http.NewServeMux()
	mux.Handle("GET /journal/{id}", auth.Require(readJournal(auth), clinician))
	mux.Handle("GET /export", auth.Require(export, middleware.Any(nightly, clinician)))
	mux.Handle("GET /clinics/{parent}/patients", auth.Require(patients, middleware.ParentOrganizationInPath("parent"), clinician))
	// endregion
	// region readiness
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := auth.Check(ctx); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	// endregion
	// region nested
	api := http.NewServeMux()
	api.Handle("GET /v2/things", auth.Require(export, middleware.AuthenticatedWithin(time.Hour)))
	mux.Handle("/v2/", auth.Guard(clinician)(api)) // the inner guard checks its own requirement only
	// endregion

	for _, c := range []struct {
		path   string
		caller []mint.TokenOption
		status int
		reason string
	}{
		{"/journal/1", []mint.TokenOption{mint.Clinician()}, 200, ""},
		{"/journal/locked", []mint.TokenOption{mint.Clinician()}, 403, "locked"},
		{"/journal/1", []mint.TokenOption{mint.Clinician(), mint.SecurityLevel(3)}, 401, "security_level"},
		{"/journal/1", []mint.TokenOption{mint.Scopes("nhn:some-api/batch")}, 403, "scope"},
		{"/export", []mint.TokenOption{mint.Scopes("nhn:some-api/batch")}, 200, ""},
		{"/clinics/994598759/patients", []mint.TokenOption{mint.Clinician()}, 200, ""},
		{"/clinics/999977774/patients", []mint.TokenOption{mint.Clinician()}, 403, "parent_organization"},
		{"/v2/things", []mint.TokenOption{mint.Clinician(), mint.AuthenticatedAt(time.Now())}, 200, ""},
		{"/v2/things", []mint.TokenOption{mint.Clinician(), mint.AuthenticatedAt(time.Now().Add(-2 * time.Hour))}, 401, "authentication_age"},
	} {
		request := httptest.NewRequest(http.MethodGet, "https://api.example.no"+c.path, nil)
		server.Authorize(request, server.Token(append(c.caller, mint.Audience("nhn:some-api"))...))
		response := httptest.NewRecorder()
		mux.ServeHTTP(response, request)
		require.Equal(t, c.status, response.Code, "%s: %s", c.path, response.Body)
		var problem struct{ Reason string }
		_ = json.Unmarshal(response.Body.Bytes(), &problem)
		require.Equal(t, c.reason, problem.Reason)
	}
	ready := httptest.NewRecorder()
	mux.ServeHTTP(ready, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	require.Equal(t, http.StatusOK, ready.Code, ready.Body)
}

// region handler

func readJournal(auth *middleware.Middleware) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller := middleware.Claims(r.Context()) // never nil behind Require
		slog.InfoContext(r.Context(), "read", "hpr", caller.User.HPRNumber, "for", caller.Organization.Parent)
		if isLocked(r.PathValue("id")) {
			auth.Refuse(w, r, &middleware.Denial{Reason: "locked", Detail: "the patient has locked this journal"})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"read_by": caller.User.HPRNumber})
	}
}

// endregion

func isLocked(id string) bool { return id == "locked" }

func export(http.ResponseWriter, *http.Request) {}

func patients(http.ResponseWriter, *http.Request) {}

// region own

// department requires a caller whose department is in our register.
func department(register interface {
	Has(ctx context.Context, child identity.OrganizationNumber) (bool, error)
}) middleware.Requirement {
	return middleware.ForRequest(func(ctx context.Context, request *middleware.Request, claims *tokenvalidation.Claims) error {
		if request.Method == http.MethodGet {
			return nil
		}
		known, err := register.Has(ctx, claims.Organization.Child)
		switch {
		case err != nil:
			return errors.Join(middleware.ErrUnavailable, err) // 503: we do not know
		case !known:
			return &middleware.Denial{Reason: "department", Detail: "register the department with us first"}
		}
		return nil
	})
}

// endregion

type register map[identity.OrganizationNumber]bool

func (r register) Has(_ context.Context, child identity.OrganizationNumber) (bool, error) {
	if r == nil {
		return false, errors.New("no answer")
	}
	return r[child], nil
}

func TestOwnRequirement(t *testing.T) {
	server := newServer(t)
	auth := guard(t, server, "https://api.example.no")
	for want, known := range map[int]register{200: {"999977775": true}, 403: {}, 503: nil} {
		request := httptest.NewRequest(http.MethodPost, "https://api.example.no/things", nil)
		server.Authorize(request, server.Token(mint.Audience("nhn:some-api"), mint.Organization("994598759", "999977775", "")))
		response := httptest.NewRecorder()
		auth.Require(export, department(known)).ServeHTTP(response, request)
		require.Equal(t, want, response.Code)
	}
}

func TestClaimOfAnAPI(t *testing.T) {
	claims := &tokenvalidation.Claims{}
	// region claims
	id, err := tokenvalidation.Claim[string](claims, "nhn:some-api/client/claims/some-id")
	// endregion
	require.ErrorIs(t, err, tokenvalidation.ErrNoClaim)
	require.Empty(t, id)
}
