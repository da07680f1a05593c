package middleware_test

import (
	"strconv"
	"strings"
	"time"
)

// at is the time this many seconds from now, as JSON. It is computed when the token is
// made.
func at(name string, seconds int64) edit {
	return func(text string) string {
		return with(name, strconv.FormatInt(time.Now().Unix()+seconds, 10))(text)
	}
}

func tokenClaimAttacks() []attack {
	table := []attack{
		badClaims("T150 expired two hours ago", "token_expired", both(at("iat", -7800), at("nbf", -7800), at("exp", -7200))),
		badClaims("T148 expired just now", "token_expired", at("exp", -6)),
		badClaims("exp of the year 1970", "token_expired", with("exp", "1")),
		badClaims("nbf in a minute", "token_not_yet_valid", at("nbf", 60)),
		badClaims("iat in a minute", "token_not_yet_valid", at("iat", 60)),
		badClaims("iat in a year", "token_not_yet_valid", at("iat", 365*24*3600)),
		badClaims("iss in another spelling", "token_issuer", replace(`"iss"`, `"ISS"`)),
		badClaims("aud in another spelling", "token_audience", replace(`"aud"`, `"Aud"`)),
		badClaims("exp in another spelling", "token_times", replace(`"exp"`, `"EXP"`)),
		badClaims("empty", "token_issuer", entirely("{}")),
		badClaims("all of them null", "token_issuer", entirely(`{"iss":null,"aud":null,"exp":null,"cnf":null}`)),
		badClaims("inside another object", "token_issuer", func(claims string) string { return `{"claims":` + claims + `}` }),
	}
	for _, name := range []string{"iss", "aud", "exp", "cnf", "jti", "scope"} {
		table = append(table, badClaims("duplicate "+name, "token_malformed", func(claims string) string {
			return also(`"` + name + `":null`)(claims)
		}))
	}
	table = append(table,
		badClaims("duplicate iss, escaped", "token_malformed", also(`"\u0069ss":"https://helseid.test"`)),
		badClaims("duplicate jkt", "token_malformed", func(claims string) string {
			return strings.Replace(claims, `"jkt":`, `"jkt":"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs","jkt":`, 1)
		}),
		badClaims("duplicate in a claim of no interest", "token_malformed", also(`"x":[{"a":1,"a":1}]`)),
	)
	for name, iss := range map[string]string{
		"T134 of another": `"https://helseid-sts.test.nhn.no"`,
		"T148 wrong":      `"https://attacker.example"`,
		"missing":         "", "null": `null`, "empty": `""`, "a number": `1`, "true": `true`,
		"an array":           `["https://helseid.test"]`,
		"an object":          `{"iss":"https://helseid.test"}`,
		"trailing slash":     `"https://helseid.test/"`,
		"upper case":         `"HTTPS://HELSEID.TEST"`,
		"upper-case host":    `"https://HelseID.test"`,
		"port":               `"https://helseid.test:443"`,
		"http":               `"http://helseid.test"`,
		"path":               `"https://helseid.test/oidc"`,
		"query":              `"https://helseid.test?"`,
		"suffix":             `"https://helseid.test.attacker.example"`,
		"user":               `"https://helseid.test@attacker.example"`,
		"homoglyph":          `"https://hels\u0435id.test"`,
		"dotless i":          `"https://helse\u0131d.test"`,
		"space before":       `" https://helseid.test"`,
		"space after":        `"https://helseid.test "`,
		"NUL after":          `"https://helseid.test\u0000"`,
		"without the scheme": `"helseid.test"`,
		"zero-width space":   `"https://helseid\u200b.test"`,
	} {
		table = append(table, badClaims("iss: "+name, "token_issuer", with("iss", iss)))
	}
	for name, aud := range map[string]string{
		"T134 of another API": `"nhn:other-api"`,
		"T148 wrong":          `"the-client"`,
		"missing":             "", "null": `null`, "empty": `""`, "a number": `1`, "true": `true`,
		"empty array":           `[]`,
		"two APIs":              `["nhn:test-api","nhn:other-api"]`,
		"two APIs, other first": `["nhn:other-api","nhn:test-api"]`,
		"twice the same":        `["nhn:test-api","nhn:test-api"]`,
		"one other in an array": `["nhn:other-api"]`,
		"nested array":          `[["nhn:test-api"]]`,
		"array with null":       `["nhn:test-api",null]`,
		"array with a number":   `[1]`,
		"object":                `{"nhn:test-api":true}`,
		"upper case":            `"NHN:TEST-API"`,
		"longer":                `"nhn:test-api2"`,
		"shorter":               `"nhn:test"`,
		"slash":                 `"nhn:test-api/"`,
		"scope":                 `"nhn:test-api/read"`,
		"two in a text":         `"nhn:test-api nhn:other-api"`,
		"wildcard":              `"*"`,
		"homoglyph":             `"nhn:test-\u0430pi"`,
		"the issuer":            `"https://helseid.test"`,
	} {
		table = append(table, badClaims("aud: "+name, "token_audience", with("aud", aud)))
	}
	for name, exp := range map[string]string{
		"missing": "", "null": `null`, "text": `"9999999999"`, "empty text": `""`, "true": `true`, "array": `[9999999999]`, "object": `{}`,
		"zero": "0", "minus one": "-1", "minus zero": "-0", "half a second": "0.5", "negative and large": "-99999999999",
		"1e300": "1e300", "out of range": "99999999999999999999999", "after the year 9999": "253402300800", "2^63": "9223372036854775808",
		"1e-400": "1e-400", "-1e300": "-1e300", "1e400": "1e400",
	} {
		table = append(table, badClaims("exp: "+name, "token_times", with("exp", exp)))
	}
	for _, claim := range []string{"nbf", "iat"} {
		for name, value := range map[string]string{
			"text": `"1"`, "true": `true`, "array": `[1]`, "object": `{}`, "1e300": `1e300`, "after the year 9999": `253402300800`, "out of range": "99999999999999999999999",
		} {
			table = append(table, badClaims(claim+": "+name, "token_times", with(claim, value)))
		}
	}
	return table
}

// confirmations are the forms of cnf that T138 lists, and those of RFC 7800, 8705 and
// 9449 that name something other than the DPoP key, or something in addition to it.
func confirmations() map[string]string {
	const jkt = `"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"`
	return map[string]string{
		"T138 empty text": `""`, "T138 text": `"not-a-json-object"`, "T138 1": `1`, "T138 0": `0`, "T138 true": `true`, "T138 false": `false`,
		"T138 number": `3.14159`, "T138 empty array": `[]`, "T138 array of a number": `[123]`, "T138 array of a text": `["asdf"]`,
		"T138 null": `null`, "T138 no jkt": `{}`,
		"jkt null": `{"jkt":null}`, "jkt empty": `{"jkt":""}`, "jkt a number": `{"jkt":1}`, "jkt an array": `{"jkt":["0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"]}`,
		"JKT":      `{"JKT":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`,
		"array":    `[{` + jkt + `}]`,
		"x5t#S256": `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`, "x5t#S256 beside jkt": `{` + jkt + `,"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`,
		"jwk": `{"jwk":{"kty":"oct","k":"AAAA"}}`, "kid": `{"kid":"x"}`, "jku": `{"jku":"https://attacker.example/"}`, "jwe": `{"jwe":"a.b.c.d.e"}`,
		"unknown method beside jkt": `{` + jkt + `,"unknown":null}`,
	}
}
