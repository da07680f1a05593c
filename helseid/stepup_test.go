package helseid_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/helseid-go/sdk/helseid"
	"github.com/helseid-go/sdk/helseid/identity"
)

func TestStepUpOf(t *testing.T) {
	t.Parallel()
	const code = `error="insufficient_user_authentication"`
	for name, test := range map[string]struct {
		status int
		field  string
		want   helseid.StepUp
		ok     bool
	}{
		"level":                     {401, `DPoP ` + code + `, acr_values="Level4"`, helseid.StepUp{SecurityLevel: 4}, true},
		"age":                       {401, `DPoP ` + code + `, max_age=300`, helseid.StepUp{MaxAge: 5 * time.Minute}, true},
		"age in quotes":             {401, `DPoP ` + code + `, max_age="300"`, helseid.StepUp{MaxAge: 5 * time.Minute}, true},
		"both":                      {401, `DPoP ` + code + `, acr_values="Level3", max_age=60`, helseid.StepUp{SecurityLevel: 3, MaxAge: time.Minute}, true},
		"Bearer":                    {401, `Bearer ` + code + `, acr_values="Level4"`, helseid.StepUp{SecurityLevel: 4}, true},
		"second challenge":          {401, `Basic realm="x", DPoP ` + code + `, acr_values=Level4`, helseid.StepUp{SecurityLevel: 4}, true},
		"several values":            {401, `DPoP ` + code + `, acr_values="x Level4 Level3"`, helseid.StepUp{SecurityLevel: 4}, true},
		"a login at once":           {401, `DPoP ` + code + `, max_age=0`, helseid.StepUp{MaxAge: time.Second}, true},
		"assurance":                 {401, `DPoP ` + code + `, acr_values="High"`, helseid.StepUp{AssuranceLevel: identity.AssuranceHigh}, true},
		"assurance or level":        {401, `DPoP ` + code + `, acr_values="high High Level4"`, helseid.StepUp{AssuranceLevel: identity.AssuranceHigh}, true},
		"level or assurance":        {401, `DPoP ` + code + `, acr_values="Level4 High"`, helseid.StepUp{SecurityLevel: 4}, true},
		"nothing more":              {401, `DPoP ` + code, helseid.StepUp{}, true},
		"a level that there is not": {401, `DPoP ` + code + `, acr_values="Level5 Level Level44 level4"`, helseid.StepUp{}, true},
		"an age that is none":       {401, `DPoP ` + code + `, max_age=-1`, helseid.StepUp{}, true},
		"an endless age":            {401, `DPoP ` + code + `, max_age=4294967295`, helseid.StepUp{MaxAge: 10 * 365 * 24 * time.Hour}, true},
		"an age out of range":       {401, `DPoP ` + code + `, max_age=99999999999999999999`, helseid.StepUp{}, true},
		"another error":             {401, `DPoP error="invalid_token", acr_values="Level4"`, helseid.StepUp{}, false},
		"another status":            {403, `DPoP ` + code + `, acr_values="Level4"`, helseid.StepUp{}, false},
		"no challenge":              {401, ``, helseid.StepUp{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := helseid.StepUpOf(&http.Response{StatusCode: test.status, Header: http.Header{"Www-Authenticate": {test.field}}})
			require.Equal(t, test.ok, ok)
			require.Equal(t, test.want, got)
		})
	}
}
