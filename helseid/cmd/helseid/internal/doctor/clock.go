package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/helseid-go/sdk/internal/httpx"
)

// tolerance is how far a clock may be off: that of HelseID's time checks, as far as its
// samples show.
const tolerance = 5 * time.Second

// checkClock compares this machine's clock with HelseID's.
func checkClock(ctx context.Context, s *state) result {
	contact := s.reach(ctx)
	switch {
	case contact == nil:
		return skip("no issuer is known that can be used")
	case contact.status == 0:
		return skip("there is no answer from HelseID")
	case httpx.MediaType(contact.header) == "text/html":
		return skip("it is not HelseID that answers")
	}
	ahead, ok := clockAhead(contact.header, contact.at)
	switch {
	case !ok:
		return skip("HelseID's answer has no date")
	case ahead.Abs() <= tolerance:
		return good("as HelseID's, within %v", max(time.Second, seconds(ahead)))
	}
	s.ahead = ahead
	return bad(fmt.Sprintf("this machine's clock is about %v %s HelseID's: HelseID and APIs refuse what is signed with it", seconds(ahead), side(ahead)),
		"Synchronise the clock: start an NTP client (timedatectl set-ntp true, or chrony; on Windows w32tm /resync). Inside Helsenettet the server is ntp.nhn.no. "+
			"In a container or a virtual machine, that of the host counts.")
}

func side(ahead time.Duration) string {
	if ahead > 0 {
		return "ahead of"
	}
	return "behind"
}

// clockAhead is how far this machine's clock is ahead of the server's that has written the
// header at about that time, to a second. An answer from a cache is as old as it says.
func clockAhead(header http.Header, at time.Time) (time.Duration, bool) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return 0, false
	}
	if age, err := strconv.Atoi(strings.TrimSpace(header.Get("Age"))); err == nil && age > 0 {
		date = date.Add(time.Duration(age) * time.Second)
	}
	return at.Sub(date) - time.Second/2, true // the header leaves out the fraction
}
