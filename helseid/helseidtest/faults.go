package helseidtest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Fault is a failure of an endpoint. The fields are applied in the order given. Without
// Status, Cut, HalfBody or Body, the request is answered as usual after the delay.
type Fault struct {
	// Endpoint is the endpoint that fails. Empty means EndpointToken alone;
	// [EndpointAll] means all of them, as when HelseID is down.
	Endpoint Endpoint

	// Times is the number of requests that fail. Zero means one; a negative number
	// means all until [Server.ClearFaults].
	Times int

	// Delay is applied first. It ends early if the client disconnects.
	Delay time.Duration

	// AfterProcessing lets the server process the request before the fault is applied:
	// the request's credentials are used up, and its response is lost or late.
	AfterProcessing bool

	// Cut closes the connection without a response, after the request was read.
	Cut bool

	// HalfBody announces a token response, or the real response with AfterProcessing,
	// sends half of it and closes the connection.
	HalfBody bool

	// Status responds with this status, and with Header and Body if given.
	Status int

	// Header replaces headers of the response, with Status or Body.
	Header http.Header

	// Body is the body of the response. Its Content-Type is application/json unless
	// Header sets another; its status is 200 unless Status is set.
	Body string
}

// Inject adds faults. They are applied in the order in which they were added.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fault := range faults {
		if fault.Endpoint == "" {
			fault.Endpoint = EndpointToken
		}
		if fault.Times == 0 {
			fault.Times = 1
		}
		s.faults = append(s.faults, &fault)
	}
}

// ClearFaults removes all faults that have not been applied.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// DemandNewNonceEachTime makes the token endpoint and PAR accept only the newest nonce,
// and send a new one with each response to a proof.
func (s *Server) DemandNewNonceEachTime(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonceEach = on
}

func (s *Server) takeFault(endpoint Endpoint) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, fault := range s.faults {
		if fault.Endpoint != endpoint && fault.Endpoint != EndpointAll {
			continue
		}
		if fault.Times > 0 {
			if fault.Times--; fault.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return fault
	}
	return nil
}

func (f *Fault) serve(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	half := `{"access_token":"half-of-a-token","token_`
	if f.AfterProcessing {
		answer := &memoryWriter{header: w.Header().Clone()}
		next(answer, r)
		half = answer.body.String()[:answer.body.Len()/2]
		next = answer.replay
	}
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.HalfBody:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
		_, _ = w.Write([]byte(half))
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		panic(http.ErrAbortHandler)
	case f.Status == 0 && f.Body == "":
		next(w, r)
	default:
		w.Header().Set("Content-Type", "application/json")
		maps.Copy(w.Header(), f.Header)
		if f.Status != 0 {
			w.WriteHeader(f.Status)
		}
		_, _ = w.Write([]byte(f.Body))
	}
}
