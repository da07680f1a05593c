package main

import (
	"regexp"
	"strings"
)

// Shorter parts than this may turn up by chance or be the beginning of a harmless header.
const secretPart = 16

var jwtPattern = regexp.MustCompile(`eyJ[A-Za-z0-9_.-]{18,}`)

// findSecret names what must not be in a program's output and is: any part of a private key, or
// anything that looks like a JWT. It never returns the secret itself.
func findSecret(output string, jwk map[string]any) string {
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		value, _ := jwk[member].(string)
		for i := 0; i+secretPart <= len(value); i++ {
			if strings.Contains(output, value[i:i+secretPart]) {
				return "a part of its private key's member " + member
			}
		}
	}
	if jwtPattern.MatchString(output) {
		return "something that looks like a JWT"
	}
	return ""
}
