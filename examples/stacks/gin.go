package main

import (
	"encoding/json"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/helseid-go/sdk/middleware"
)

// ginStack is the API in gin.
func ginStack(auth *middleware.Middleware, everybody middleware.Requirement, own backend) http.Handler {
	caller := func(c *gin.Context) {
		c.JSON(http.StatusOK, callerOf(middleware.Claims(c.Request.Context())))
	}
	organization := func(c *gin.Context) {
		c.Header("Cache-Control", "private, max-age=60")
		c.JSON(http.StatusOK, gin.H{"organization": c.Param("organization")})
	}
	events := func(c *gin.Context) {
		c.Header("Content-Type", "application/x-ndjson")
		for event := range own.news(c.Request.Context()) {
			if json.NewEncoder(c.Writer).Encode(event) != nil {
				return
			}
			c.Writer.Flush()
		}
	}
	document := func(c *gin.Context) {
		header, err := c.FormFile("document")
		if err != nil {
			c.String(http.StatusBadRequest, "a form with the file document is needed")
			return
		}
		file, err := header.Open()
		if err != nil {
			c.String(http.StatusInternalServerError, "the document cannot be read")
			return
		}
		defer func() { _ = file.Close() }()
		size, err := own.keep(c.Request.Context(), file)
		if err != nil {
			c.String(http.StatusInternalServerError, "the document cannot be kept")
			return
		}
		c.JSON(http.StatusCreated, gin.H{"size": size})
	}

	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(gin.Recovery())
	engine.GET("/healthz", func(c *gin.Context) { c.Status(http.StatusOK) })
	group := engine.Group("/", guarded(auth.Guard(everybody)))
	group.GET("/caller", caller)
	group.GET("/events", events)
	group.POST("/documents", document)
	group.GET("/organizations/:organization", guarded(auth.Guard(middleware.ParentOrganizationInPath("organization"))), organization)
	clinician := group.Group("/clinician", guarded(auth.Guard(middleware.SecurityLevel(4), middleware.HPRNumber())))
	clinician.GET("/caller", caller)
	clinician.POST("/documents", document)
	return engine
}

// guarded turns a guard into a middleware of gin. The handlers run inside the guard,
// which removes the files of uploads after them.
func guarded(guard func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		for _, part := range c.Params {
			c.Request.SetPathValue(part.Key, part.Value) // for requirements that see the request
		}
		c.Request.Pattern = c.FullPath() // for the audit record
		passed := false
		guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.Writer, c.Request, passed = ginWriter{c.Writer, w}, r, true
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}

// ginWriter writes through the guard's writer, which sets headers just before they are
// sent: an API with nonces needs this.
type ginWriter struct {
	gin.ResponseWriter
	guard http.ResponseWriter
}

func (w ginWriter) Write(data []byte) (int, error) {
	w.guard.WriteHeader(w.Status())
	return w.guard.Write(data)
}

func (w ginWriter) WriteString(text string) (int, error) { return w.Write([]byte(text)) }
