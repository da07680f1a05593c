package main

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v5"
	echomiddleware "github.com/labstack/echo/v5/middleware"

	"github.com/helseid-go/sdk/middleware"
)

// echoStack is the API in echo. Its WrapMiddleware accepts guards directly, and since
// version 5 it passes them the route and the parts of the path.
func echoStack(auth *middleware.Middleware, everybody middleware.Requirement, own backend) http.Handler {
	caller := func(c *echo.Context) error {
		return c.JSON(http.StatusOK, callerOf(middleware.Claims(c.Request().Context())))
	}
	organization := func(c *echo.Context) error {
		c.Response().Header().Set("Cache-Control", "private, max-age=60")
		return c.JSON(http.StatusOK, map[string]string{"organization": c.Param("organization")})
	}
	events := func(c *echo.Context) error {
		c.Response().Header().Set("Content-Type", "application/x-ndjson")
		for event := range own.news(c.Request().Context()) {
			if err := json.NewEncoder(c.Response()).Encode(event); err != nil {
				return err
			}
			if err := http.NewResponseController(c.Response()).Flush(); err != nil {
				return err
			}
		}
		return nil
	}
	document := func(c *echo.Context) error {
		header, err := c.FormFile("document")
		if err != nil {
			return echo.NewHTTPError(http.StatusBadRequest, "a form with the file document is needed")
		}
		file, err := header.Open()
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		size, err := own.keep(c.Request().Context(), file)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusCreated, map[string]int64{"size": size})
	}

	router := echo.New()
	router.Use(echomiddleware.Recover())
	router.GET("/healthz", func(c *echo.Context) error { return c.NoContent(http.StatusOK) })
	group := router.Group("", echo.WrapMiddleware(auth.Guard(everybody)))
	group.GET("/caller", caller)
	group.GET("/events", events)
	group.POST("/documents", document)
	group.GET("/organizations/:organization", organization, echo.WrapMiddleware(auth.Guard(middleware.ParentOrganizationInPath("organization"))))
	clinician := group.Group("/clinician", echo.WrapMiddleware(auth.Guard(middleware.SecurityLevel(4), middleware.HPRNumber())))
	clinician.GET("/caller", caller)
	clinician.POST("/documents", document)
	return router
}
