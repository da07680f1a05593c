package helseid

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/helseid/identity"
	"github.com/helseid-go/sdk/internal/wwwauth"
)

// StepUp is the login that an API requires before it accepts the call.
type StepUp struct {
	// SecurityLevel is the lowest level that the API accepts, or zero.
	SecurityLevel identity.SecurityLevel

	// AssuranceLevel is [identity.AssuranceHigh] if the API requires it (acr_values
	// High, which middleware.AssuranceLevel also uses), or zero.
	AssuranceLevel identity.AssuranceLevel

	// MaxAge is how long ago the user may have authenticated, or zero if the API does
	// not say. If the API requires a login right now (max_age=0), it is one second.
	MaxAge time.Duration
}

// maxStepUpAge limits the age that an API can state, so that it fits a
// [time.Duration].
const maxStepUpAge = 10 * 365 * 24 * time.Hour

// StepUpOf reads from an API's answer which login it requires, in a challenge with the
// error insufficient_user_authentication (RFC 9470 section 3). ok is false for every
// other answer.
//
// A login at that level helps only if the session's user has a lower one. Otherwise
// the API does not see the level in its tokens, and requires it again however often
// the user logs in. weblogin.Web.StepUp checks that.
func StepUpOf(response *http.Response) (wanted StepUp, ok bool) {
	if response.StatusCode != http.StatusUnauthorized {
		return StepUp{}, false
	}
	for _, challenge := range wwwauth.Parse(response.Header.Values("WWW-Authenticate")) {
		if challenge.Parameters["error"] != "insufficient_user_authentication" {
			continue
		}
		for value := range strings.FieldsSeq(challenge.Parameters["acr_values"]) {
			// The first is the one that the API prefers.
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
