package main

import (
	"encoding/json"
	"net/http"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/helseid-go/sdk/middleware"
)

// chiStack is the API in chi, which accepts guards directly. A guard that looks at a
// part of the path must be behind the route that names it: in With, in a Group, or in
// the Route below it, and not in Use for the whole router.
func chiStack(auth *middleware.Middleware, everybody middleware.Requirement, own backend) http.Handler {
	caller := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(callerOf(middleware.Claims(r.Context())))
	}
	organization := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "private, max-age=60")
		_ = json.NewEncoder(w).Encode(map[string]string{"organization": chi.URLParam(r, "organization")})
	}
	events := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-ndjson")
		for event := range own.news(r.Context()) {
			if json.NewEncoder(w).Encode(event) != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		}
	}
	document := func(w http.ResponseWriter, r *http.Request) {
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
	}

	router := chi.NewRouter()
	router.Use(chimiddleware.Recoverer)
	router.Get("/healthz", func(http.ResponseWriter, *http.Request) {})
	router.Group(func(r chi.Router) {
		r.Use(auth.Guard(everybody))
		r.Get("/caller", caller)
		r.Get("/events", events)
		r.Post("/documents", document)
		r.With(auth.Guard(middleware.ParentOrganizationInPath("organization"))).Get("/organizations/{organization}", organization)
		r.Route("/clinician", func(r chi.Router) {
			r.Use(auth.Guard(middleware.SecurityLevel(4), middleware.HPRNumber()))
			r.Get("/caller", caller)
			r.Post("/documents", document)
		})
	})
	return router
}
