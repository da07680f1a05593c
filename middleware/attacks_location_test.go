package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/helseid-go/sdk/middleware"
)

// elsewhere is an attack with a proof for another URL than the request's.
func elsewhere(name, requested, htu string, change func(*http.Request), config func(*middleware.Config)) attack {
	a := newAttack(name, "proof_htu", func(w *world) *http.Request {
		token := w.token(nil, nil)
		request := httptest.NewRequest(http.MethodGet, requested, nil)
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", w.proof(token, nil, with("htu", jsonText(htu))))
		if change != nil {
			change(request)
		}
		return request
	})
	a.config = config
	return a
}

// trusting makes the API trust proxies at 192.0.2.0/24, the source of httptest's
// requests, and at 10.0.0.0/8.
func trusting(header middleware.ForwardedHeader) func(*middleware.Config) {
	return func(config *middleware.Config) {
		config.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")}
		config.ForwardedHeader = header
	}
}

func set(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Add(pairs[i], pairs[i+1])
		}
	}
}

func from(address string, changes ...func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = address
		for _, change := range changes {
			change(r)
		}
	}
}

func locationAttacks() []attack {
	const api = "https://api.example.no"
	var table []attack
	for name, htu := range map[string]string{
		"T130 another host":             "https://other.example.no/journal/1",
		"another port":                  api + ":8443/journal/1",
		"the port of http":              api + ":80/journal/1",
		"http":                          "http://api.example.no/journal/1",
		"path in another case":          api + "/Journal/1",
		"trailing slash":                api + "/journal/1/",
		"double slash":                  api + "//journal/1",
		"double slash inside":           api + "/journal//1",
		"dot segment":                   api + "/journal/./1",
		"dot dot segment":               api + "/x/../journal/1",
		"dot dot encoded":               api + "/x/%2e%2e/journal/1",
		"encoded slash":                 api + "/journal%2F1",
		"encoded twice":                 api + "/%256Aournal/1",
		"bad encoding":                  api + "/journal/%zz1",
		"cut encoding":                  api + "/journal/1%",
		"path parameter":                api + "/journal/1;a=b",
		"shorter":                       api + "/journal",
		"the host alone":                api,
		"the path alone":                "/journal/1",
		"without scheme":                "//api.example.no/journal/1",
		"the host without scheme":       "api.example.no/journal/1",
		"opaque":                        "https:api.example.no/journal/1",
		"three slashes":                 "https:///api.example.no/journal/1",
		"user":                          "https://user@api.example.no/journal/1",
		"user and password":             "https://api.example.no:443@attacker.example/journal/1",
		"the host as user":              "https://api.example.no@attacker.example/journal/1",
		"suffix":                        "https://api.example.no.attacker.example/journal/1",
		"trailing dot":                  "https://api.example.no./journal/1",
		"backslash":                     `https:\\api.example.no\journal\1`,
		"backslash before another host": `https://api.example.no\@attacker.example/journal/1`,
		"backslash in the path":         api + `\journal\1`,
		"javascript":                    "javascript:alert(1)//api.example.no/journal/1",
		"file":                          "file://api.example.no/journal/1",
		"unicode host":                  "https://\u0430pi.example.no/journal/1",
		"fullwidth host":                "https://ａｐｉ.example.no/journal/1",
		"dotted capital I":              "https://ap\u0130.example.no/journal/1",
		"percent in the host":           "https://api.example.no%25.attacker.example/journal/1",
		"encoded host":                  "https://%61pi.example.no/journal/1",
		"space before":                  " " + api + "/journal/1",
		"space after":                   api + "/journal/1 ",
		"tab":                           api + "/jour\tnal/1",
		"line feed":                     api + "/journal/1\n",
		"NUL":                           api + "/journal/1\x00",
		"an address":                    "https://192.0.2.1/journal/1",
		"empty":                         "",
		"not a URL":                     "::",
		"a port that is none":           "https://api.example.no:x/journal/1",
		"the port with zeros":           "https://api.example.no:0443/journal/1",
	} {
		table = append(table, elsewhere("htu: "+name, resource, htu, nil, nil))
	}
	for _, value := range []string{"null", "1", "[]", `["https://api.example.no/journal/1"]`, "{}", "true"} {
		table = append(table, badProofClaims("htu of type "+value, "proof_htu", with("htu", value)))
	}
	table = append(table,
		elsewhere("Kelvin sign for a k", "https://keys.example.no/journal/1", "https://\u212aeys.example.no/journal/1", nil, nil),
		elsewhere("an encoded slash asked for", api+"/journal%2F1", api+"/journal/1", nil, nil),
		elsewhere("an encoded slash beside a quote", api+`/journal%2F1"`, api+"/journal/1%22", nil, nil),
		elsewhere("an encoded slash beside a letter beyond ASCII", api+"/journal%2Fæ", api+"/journal/%C3%A6", nil, nil),
		elsewhere("encoded twice asked for", api+"/%256Aournal/1", api+"/journal/1", nil, nil),
		elsewhere("a double slash asked for", api+"//journal/1", api+"/journal/1", nil, nil),
		elsewhere("dot dot asked for", api+"/x/../journal/1", api+"/journal/1", nil, nil),
		elsewhere("no Host", api+"/journal/1", api+"/journal/1", func(r *http.Request) { r.Host = "" }, nil),
		elsewhere("a Host that is none", api+"/journal/1", api+"/journal/1", func(r *http.Request) { r.Host = "api.example.no/x" }, nil),
		elsewhere("a Host with a user", api+"/journal/1", api+"/journal/1", func(r *http.Request) { r.Host = "x@api.example.no" }, nil),

		elsewhere("X-Forwarded-Host where nobody is trusted", "https://internal/journal/1", resource, set("X-Forwarded-Host", "api.example.no"), nil),
		elsewhere("X-Forwarded-Proto where nobody is trusted", "http://api.example.no/journal/1", resource, set("X-Forwarded-Proto", "https"), nil),
		elsewhere("Forwarded where nobody is trusted", "http://internal/journal/1", resource, set("Forwarded", "proto=https;host=api.example.no"), nil),
		elsewhere("X-Forwarded-Host from a stranger", "https://internal/journal/1", resource,
			from("203.0.113.9:443", set("X-Forwarded-Host", "api.example.no")), trusting(middleware.XForwarded)),
		elsewhere("X-Forwarded-Host from an address that is none", "https://internal/journal/1", resource,
			from("@", set("X-Forwarded-Host", "api.example.no")), trusting(middleware.XForwarded)),
		elsewhere("X-Forwarded-For does not make a stranger trusted", "https://internal/journal/1", resource,
			from("203.0.113.9:443", set("X-Forwarded-For", "192.0.2.1", "X-Real-Ip", "192.0.2.1", "X-Forwarded-Host", "api.example.no")), trusting(middleware.XForwarded)),
		elsewhere("Forwarded from a stranger", "https://internal/journal/1", resource,
			from("203.0.113.9:443", set("Forwarded", "for=192.0.2.1;host=api.example.no;proto=https")), trusting(middleware.Forwarded)),
		elsewhere("X-Forwarded-Host, leftmost", "https://internal/journal/1", resource,
			set("X-Forwarded-Host", "api.example.no, real.example.no"), trusting(middleware.XForwarded)),
		elsewhere("X-Forwarded-Host, first of two fields", "https://internal/journal/1", resource,
			set("X-Forwarded-Host", "api.example.no", "X-Forwarded-Host", "real.example.no"), trusting(middleware.XForwarded)),
		elsewhere("X-Forwarded-Proto, leftmost", "http://api.example.no/journal/1", resource,
			set("X-Forwarded-Proto", "https, http"), trusting(middleware.XForwarded)),
		elsewhere("X-Forwarded-Proto of another kind", "http://api.example.no/journal/1", resource,
			set("X-Forwarded-Proto", "javascript"), trusting(middleware.XForwarded)),
		elsewhere("X-Forwarded-Host where Forwarded is set up", "https://internal/journal/1", resource,
			set("X-Forwarded-Host", "api.example.no"), trusting(middleware.Forwarded)),
		elsewhere("Forwarded where X-Forwarded is set up", "https://internal/journal/1", resource,
			set("Forwarded", "host=api.example.no;proto=https"), trusting(middleware.XForwarded)),
		elsewhere("Forwarded, leftmost behind a stranger", "https://internal/journal/1", resource,
			set("Forwarded", "for=203.0.113.1;host=api.example.no;proto=https, for=203.0.113.9;host=real.example.no;proto=https"), trusting(middleware.Forwarded)),
		elsewhere("Forwarded, behind an unknown one", "https://internal/journal/1", resource,
			set("Forwarded", "host=api.example.no, for=unknown;host=real.example.no"), trusting(middleware.Forwarded)),
		elsewhere("Forwarded, behind a hidden one", "https://internal/journal/1", resource,
			set("Forwarded", "host=api.example.no, for=_hidden;host=real.example.no"), trusting(middleware.Forwarded)),
		elsewhere("Forwarded, behind one without for", "https://internal/journal/1", resource,
			set("Forwarded", "host=api.example.no, host=real.example.no"), trusting(middleware.Forwarded)),
		elsewhere("Forwarded, first of two fields", "https://internal/journal/1", resource,
			set("Forwarded", "host=api.example.no", "Forwarded", "for=203.0.113.9;host=real.example.no"), trusting(middleware.Forwarded)),
		elsewhere("Forwarded, an open quote before", "https://internal/journal/1", resource,
			set("Forwarded", `for=";host=api.example.no`, "Forwarded", "for=203.0.113.9;host=real.example.no"), trusting(middleware.Forwarded)),
		elsewhere("Forwarded, an address that only looks trusted", "https://internal/journal/1", resource,
			set("Forwarded", `host=api.example.no, for="10.0.0.1.attacker.example";host=real.example.no`), trusting(middleware.Forwarded)),
	)
	for _, header := range []string{"X-Original-Url", "X-Rewrite-Url", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Original-Uri"} {
		table = append(table, elsewhere(header+" without forward-auth", "https://api.example.no/other", resource,
			set(header, "/journal/1"), trusting(middleware.XForwarded)))
	}
	public := func(config *middleware.Config) { config.PublicURL = "https://api.example.no/v1" }
	for _, a := range []struct{ name, requested, htu string }{
		{"PublicURL: the host of the request", "https://internal/journal/1", "https://internal/journal/1"},
		{"PublicURL: without its prefix", "https://api.example.no/journal/1", "https://api.example.no/journal/1"},
		{"PublicURL: prefix twice", "https://api.example.no/journal/1", "https://api.example.no/v1/v1/journal/1"},
		{"PublicURL: http", "http://api.example.no/journal/1", "http://api.example.no/v1/journal/1"},
		{"PublicURL: prefix in another case", "https://api.example.no/journal/1", "https://api.example.no/V1/journal/1"},
	} {
		attack := elsewhere(a.name, a.requested, a.htu, nil, public)
		table = append(table, attack)
	}
	return append(table, elsewhere("PublicURL: a spoofed Host", "https://attacker.example/journal/1", "https://attacker.example/v1/journal/1",
		set("X-Forwarded-Host", "attacker.example"), func(config *middleware.Config) {
			public(config)
			trusting(middleware.XForwarded)(config)
		}))
}
