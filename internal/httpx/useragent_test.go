package httpx

import (
	"net/http"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	module := func(path, version string) debug.Module { return debug.Module{Path: path, Version: version} }
	sdk := module(modulePath, "v1.4.0")
	forked := sdk
	forked.Replace = &debug.Module{Path: "example.no/fork", Version: "v1.4.1-0.20261129212654-0123456789ab"}
	local := sdk
	local.Replace = &debug.Module{Path: "../sdk"}
	for name, test := range map[string]struct {
		info *debug.BuildInfo
		want string
	}{
		"no build information": {nil, "devel"},
		"empty":                {&debug.BuildInfo{}, "devel"},
		"the program's own":    {&debug.BuildInfo{Main: sdk}, "v1.4.0"},
		"under development":    {&debug.BuildInfo{Main: module(modulePath, "(devel)")}, "devel"},
		"a dirty build":        {&debug.BuildInfo{Main: module(modulePath, "v1.4.1-0.20261129212654-0123456789ab+dirty")}, "v1.4.1-0.20261129212654-0123456789ab+dirty"},
		"a dependency":         {&debug.BuildInfo{Main: module("example.no/x", "v9.0.0"), Deps: []*debug.Module{{Path: "example.no/y", Version: "v2.0.0"}, &sdk, {Path: "example.no/z"}}}, "v1.4.0"},
		"a nested module":      {&debug.BuildInfo{Main: module("example.no/x", "v9.0.0"), Deps: []*debug.Module{{Path: modulePath + "/helseid/redisstore", Version: "v3.0.0"}, &sdk}}, "v1.4.0"},
		"that alone":           {&debug.BuildInfo{Main: module(modulePath+"/helseid/redisstore", "v3.0.0")}, "devel"},
		"a fork":               {&debug.BuildInfo{Deps: []*debug.Module{&forked}}, "v1.4.1-0.20261129212654-0123456789ab"},
		"a local copy":         {&debug.BuildInfo{Deps: []*debug.Module{&local}}, "devel"},
		"not a token":          {&debug.BuildInfo{Main: module(modulePath, "v1 (x)\r\nX: y")}, "devel"},
	} {
		require.Equal(t, test.want, versionIn(test.info), name)
	}
	require.Regexp(t, `^helseid-go/[A-Za-z0-9.+_-]+$`, UserAgent())
}

func TestSetUserAgent(t *testing.T) {
	t.Parallel()
	header := http.Header{}
	SetUserAgent(header)
	require.Equal(t, UserAgent(), header.Get("User-Agent"))
	for _, chosen := range []http.Header{{"User-Agent": {"mine/1"}}, {"User-Agent": {""}}, {"User-Agent": nil}} {
		before := chosen.Clone()
		SetUserAgent(chosen)
		require.Equal(t, before, chosen)
	}
}
