package tokenvalidation

// SecurityLevel says how strongly a user has been authenticated, by the claim
// helseid://claims/identity/security_level. Levels are ordered: compare them
// with < and >=. Zero means that the token has none.
type SecurityLevel int

// The security levels.
const (
	SecurityLevel2 SecurityLevel = 2
	SecurityLevel3 SecurityLevel = 3
	SecurityLevel4 SecurityLevel = 4
)

// securityLevels maps the claim's values, which are strings.
var securityLevels = map[string]SecurityLevel{"2": SecurityLevel2, "3": SecurityLevel3, "4": SecurityLevel4}

// AssuranceLevel is the eIDAS level of a user's identity, by the claim
// helseid://claims/identity/assurance_level. Levels are ordered: compare them
// with < and >=. Zero means that the token has none.
type AssuranceLevel int

// The assurance levels.
const (
	AssuranceLow AssuranceLevel = iota + 1
	AssuranceSubstantial
	AssuranceHigh
)

var assuranceLevels = map[string]AssuranceLevel{"low": AssuranceLow, "substantial": AssuranceSubstantial, "high": AssuranceHigh}

// String returns the claim's value: "low", "substantial", "high", or "".
func (l AssuranceLevel) String() string {
	for text, level := range assuranceLevels {
		if level == l {
			return text
		}
	}
	return ""
}

// MarshalText returns the same.
func (l AssuranceLevel) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Tenancy says whether a client serves one organisation or several, by the
// claim helseid://claims/client/client_tenancy.
type Tenancy string

// The tenancies. A token without the claim is a single-tenant client's.
const (
	TenancyNone   Tenancy = "none"
	TenancySingle Tenancy = "single-tenant"
	TenancyMulti  Tenancy = "multi-tenant"
)
