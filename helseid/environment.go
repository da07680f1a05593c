package helseid

// Environment is one of HelseID's public installations. Its value is its issuer
// identifier.
type Environment string

// HelseID's public environments.
const (
	Production Environment = "https://helseid-sts.nhn.no"
	Test       Environment = "https://helseid-sts.test.nhn.no"
)

// Issuer is the environment's issuer identifier, as Config.Issuer takes it.
func (e Environment) Issuer() string { return string(e) }

// SelvbetjeningURL is the address of the environment's API of HelseID Selvbetjening: see
// package selvbetjening.
func (e Environment) SelvbetjeningURL() string {
	switch e {
	case Production:
		return "https://api.selvbetjening.nhn.no"
	case Test:
		return "https://api.selvbetjening.test.nhn.no"
	}
	return ""
}
