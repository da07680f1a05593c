package inspect

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/input"
	"github.com/helseid-go/sdk/helseid/cmd/helseid/internal/jwtview"
	"github.com/helseid-go/sdk/internal/jose"
)

// parsed is a JWT that could be taken apart.
type parsed struct {
	compact *jose.Compact
	header  jose.Object
	claims  jose.Object
}

// parse takes a JWT apart as strictly as the validators do, and shows what is in it. The
// rules are named after the prefix. It returns nil if nothing more can be judged.
func (r *report) parse(prefix, jwt string, longest int) *parsed {
	r.keeps(prefix+"_malformed", prefix+"_too_long")
	if header, claims, err := jwtview.Decode(jwt); err == nil {
		r.show("header", header)
		r.show("claims", claims)
	}
	if len(jwt) > longest {
		r.breaks(prefix+"_too_long", fmt.Sprintf("it has %d bytes, and %d are read", len(jwt), longest))
	}
	compact, err := jose.ParseCompact(jwt, input.Max)
	if err == nil {
		var claims jose.Object
		if claims, err = compact.Claims(); err == nil {
			return &parsed{compact, compact.Header, claims}
		}
		err = fmt.Errorf("the claims: %w", err)
	} else if cause := malformed(jwt); cause != "" {
		err = fmt.Errorf("%s", cause)
	}
	r.breaks(prefix+"_malformed", "no validator reads it: "+err.Error()+"; nothing else can be judged")
	return nil
}

// malformed says why a JWT cannot be taken apart, or "" if the strict reader says it best.
func malformed(jwt string) string {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return "a JWT has three parts, separated by dots"
	}
	for i, name := range []string{"header", "payload", "signature"} {
		_, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		switch {
		case parts[i] == "":
			if header, _ := base64.RawURLEncoding.DecodeString(parts[0]); name == "signature" && unsigned(header) {
				return "it is not signed (alg is none), so anybody can have written it"
			}
			return "its " + name + " is empty"
		case strings.ContainsAny(parts[i], "+/="):
			return "its " + name + " is Base64 with +, / or =, and not base64url without padding"
		case err != nil:
			return "its " + name + " is not base64url: was something cut off?"
		}
	}
	header, _ := base64.RawURLEncoding.DecodeString(parts[0])
	if _, err := jose.ParseObject(header); err != nil {
		return "the header: " + err.Error()
	}
	return ""
}

func unsigned(header []byte) bool {
	object, err := jose.ParseObject(header)
	alg, ok := object.Get("alg").Text()
	return err == nil && ok && strings.EqualFold(alg, "none")
}

// when describes the time of a claim as seen from another, or "" if it is no time.
func when(object jose.Object, name string, now time.Time) string {
	value := object.Get(name)
	seconds, ok := value.Seconds()
	switch {
	case value.Absent():
		return name + " is missing"
	case !ok:
		return name + " is no number"
	}
	at := time.Unix(seconds, 0).UTC()
	distance := now.Sub(at).Truncate(time.Second)
	if distance < 0 {
		return fmt.Sprintf("%s is %s, %v ahead", name, at.Format(time.RFC3339), -distance)
	}
	return fmt.Sprintf("%s was %s, %v ago", name, at.Format(time.RFC3339), distance)
}

// textOf is a text member, or what is in its place in words.
func textOf(object jose.Object, name string) string {
	value := object.Get(name)
	text, ok := value.Text()
	switch {
	case value.Absent():
		return name + " is missing"
	case !ok:
		return name + " is no text"
	}
	return name + " is " + named(text)
}
