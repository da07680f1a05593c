package helseid

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/wwwauth"
)

// StepUp is the login that an API wants of a user before it lets the call in.
type StepUp struct {
	// SecurityLevel is the level that it wants at least, or zero.
	SecurityLevel identity.SecurityLevel

	// AssuranceLevel is AssuranceHigh if that is wanted (acr_values High, which is also
	// what middleware.AssuranceLevel asks for), or zero.
	AssuranceLevel identity.AssuranceLevel

	// MaxAge is how long ago the user may have authenticated, or zero if the API
	// does not say. An API that wants a login at once (max_age=0) has a second.
	MaxAge time.Duration
}

// maxStepUpAge bounds what an API can say, so that it fits a Duration.
const maxStepUpAge = 10 * 365 * 24 * time.Hour

// StepUpOf reads from an API's answer what login it wants: that of a challenge
// with the error insufficient_user_authentication (RFC 9470 section 3). ok is
// false for every other answer.
//
// A login at that level helps only if the session's user has a lower one.
// Otherwise the API does not see the level in its tokens, and asks for it
// however often the user logs in. weblogin's Web.StepUp looks at that.
func StepUpOf(response *http.Response) (wanted StepUp, ok bool) {
	if response.StatusCode != http.StatusUnauthorized {
		return StepUp{}, false
	}
	for _, challenge := range wwwauth.Parse(response.Header.Values("WWW-Authenticate")) {
		if challenge.Parameters["error"] != "insufficient_user_authentication" {
			continue
		}
		for value := range strings.FieldsSeq(challenge.Parameters["acr_values"]) {
			// The first is the one that the API likes best.
			if wanted.SecurityLevel, wanted.AssuranceLevel = levelsOf(value); wanted != (StepUp{}) {
				break
			}
		}
		if seconds, err := strconv.ParseUint(challenge.Parameters["max_age"], 10, 32); err == nil {
			wanted.MaxAge = min(max(time.Duration(seconds)*time.Second, time.Second), maxStepUpAge)
		}
		return wanted, true
	}
	return StepUp{}, false
}

// levelsOf reads one value of acr_values: HelseID's Level2 to Level4, or High.
func levelsOf(value string) (identity.SecurityLevel, identity.AssuranceLevel) {
	if value == acrHigh {
		return 0, identity.AssuranceHigh
	}
	level, isLevel := strings.CutPrefix(value, "Level")
	if isLevel && len(level) == 1 && level >= "2" && level <= "4" {
		return identity.SecurityLevel(level[0] - '0'), 0
	}
	return 0, 0
}
