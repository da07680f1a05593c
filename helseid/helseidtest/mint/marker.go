package mint

// MarkerHeader is the name of a header member that every token and proof of a server
// has, with the value true, whatever the options are. Validators ignore header members
// that they do not know (RFC 7515 section 4). A system that must never accept test
// material can refuse it by this member, and by its issuer, which is a loopback address
// or the reserved name helseid.test.
const MarkerHeader = "helseidtest"

// marked sets the marker after all options, so that no option can remove it.
func marked(header map[string]any) map[string]any {
	header[MarkerHeader] = true
	return header
}
