package httpx

import (
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
)

const modulePath = "github.com/helseid-go/sdk"

// UserAgent names this library and its version, as the build knows it, or "devel".
var UserAgent = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return "helseid-go/" + versionIn(info)
})

// versionIn finds this module, be it the program's own or one that it uses.
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

// SetUserAgent names this library on a request whose sender has not said what it is.
// An empty name is a choice too: net/http sends none then.
func SetUserAgent(header http.Header) {
	if _, chosen := header["User-Agent"]; !chosen {
		header.Set("User-Agent", UserAgent())
	}
}
