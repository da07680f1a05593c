package main

import (
	"encoding/json"
	"net/http"

	"github.com/helseid-go/sdk/middleware"
)

// serveMuxStack is the API in net/http's own router. Each route has its own guards, so
// that the audit log contains its pattern; a guard around the mux works as well.
func serveMuxStack(auth *middleware.Middleware, everybody middleware.Requirement, keep archive) http.Handler {
	guarded := auth.Guard(everybody)
	sameOrganization := auth.Guard(middleware.ParentOrganizationInPath("organization"))
	clinician := auth.Guard(middleware.SecurityLevel(4), middleware.HPRNumber())

	caller := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(callerOf(middleware.Claims(r.Context())))
	})
	organization := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "private, max-age=60")
		_ = json.NewEncoder(w).Encode(map[string]string{"organization": r.PathValue("organization")})
	})
	document := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, _, err := r.FormFile("document")
		if err != nil {
			http.Error(w, "a form with the file document is needed", http.StatusBadRequest)
			return
		}
		defer func() { _ = file.Close() }()
		size, err := keep(r.Context(), file)
		if err != nil {
			http.Error(w, "the document cannot be kept", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]int64{"size": size})
	})

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /caller", guarded(caller))
	mux.Handle("POST /documents", guarded(document))
	mux.Handle("GET /organizations/{organization}", guarded(sameOrganization(organization)))
	mux.Handle("GET /clinician/caller", guarded(clinician(caller)))
	mux.Handle("POST /clinician/documents", guarded(clinician(document)))
	return mux
}
