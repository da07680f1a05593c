package httpx

import (
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
)

const modulePath = "github.com/helseid-go/sdk"

// UserAgent is the name of this library with its version from the build information, or
// "devel".
var UserAgent = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return "helseid-go/" + versionIn(info)
})

// versionIn finds this module, which may be the main module or a dependency.
func versionIn(info *debug.BuildInfo) string {
	const unknown = "devel"
	if info == nil {
		return unknown
	}
	module := &info.Main
	for _, dependency := range info.Deps {
		if module.Path != modulePath {
			module = dependency
		}
	}
	if module.Path != modulePath {
		return unknown
	}
	if module.Replace != nil {
		module = module.Replace
	}
	if strings.Trim(module.Version, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_") != "" || module.Version == "" {
		return unknown // "(devel)" is no product version (RFC 9110 section 10.1.5)
	}
	return module.Version
}

// SetUserAgent sets the name of this library on a request without a User-Agent. An
// empty User-Agent is left as it is: net/http then sends none.
func SetUserAgent(header http.Header) {
	if _, chosen := header["User-Agent"]; !chosen {
		header.Set("User-Agent", UserAgent())
	}
}
