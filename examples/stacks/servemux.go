package main

import (
	"encoding/json"
	"net/http"

	"github.com/helseid-go/sdk/middleware"
)

// serveMuxStack is the API in net/http's own router. Each route has its own guards, so
// that the audit log contains its pattern; a guard around the mux works as well.
func serveMuxStack(auth *middleware.Middleware, everybody middleware.Requirement, own backend) http.Handler {
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
	events := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for event := range own.news(r.Context()) {
			if json.NewEncoder(w).Encode(event) != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	})
	document := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, _, err := r.FormFile("document")
		if err != nil {
			http.Error(w, "a form with the file document is needed", http.StatusBadRequest)
			return
		}
		defer func() { _ = file.Close() }()
		size, err := own.keep(r.Context(), file)
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
	protect := func(pattern string, handler http.Handler) { mux.Handle(pattern, guarded(handler)) }
	protect("GET /caller", caller)
	protect("GET /events", events)
	protect("POST /documents", document)
	protect("GET /organizations/{organization}", sameOrganization(organization))
	protect("GET /clinician/caller", clinician(caller))
	protect("POST /clinician/documents", clinician(document))
	return mux
}
