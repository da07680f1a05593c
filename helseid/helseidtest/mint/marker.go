package mint

// MarkerHeader is the header member that every token and every proof of a server
// has, with the value true, whatever options they are minted with. Validators
// ignore header members that they do not know (RFC 7515 section 4). A system
// that must never see test material can refuse it by this name, as well as by
// its issuer, which is a loopback address or the reserved name helseid.test.
const MarkerHeader = "helseidtest"

// marked puts the marker where no option can take it away.
func marked(header map[string]any) map[string]any {
	header[MarkerHeader] = true
	return header
}
