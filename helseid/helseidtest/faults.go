package helseidtest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Fault is something that goes wrong at an endpoint. The members are applied in
// the order given; without Status, Cut, HalfBody or Body the request is
// answered as usual after the delay.
type Fault struct {
	// Endpoint that fails. Empty means EndpointToken.
	Endpoint Endpoint

	// Times is how many requests it strikes. Zero means one, a negative number
	// all until ClearFaults.
	Times int

	// Delay comes first. It ends early if the client goes away.
	Delay time.Duration

	// AfterProcessing lets the server process the request before anything of
	// this happens: what the request uses up is used up, and its answer is lost or
	// late.
	AfterProcessing bool

	// Cut ends the connection without an answer, after the request was read.
	Cut bool

	// HalfBody announces a token answer, or the real one with AfterProcessing,
	// sends half of it and ends the connection.
	HalfBody bool

	// Status answers with this status, and Header and Body if given.
	Status int

	// Header replaces headers of the answer, with Status or Body.
	Header http.Header

	// Body is the answer's body. Its Content-Type is application/json unless
	// Header says otherwise; its status 200 unless Status says otherwise.
	Body string
}

// Inject adds faults. They strike in the order in which they were added.
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

// ClearFaults takes back all faults that have not struck.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// DemandNewNonceEachTime makes the token endpoint and PAR accept only the nonce
// that was given last, and give another with each answer to a proof.
func (s *Server) DemandNewNonceEachTime(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonceEach = on
}

func (s *Server) takeFault(endpoint Endpoint) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, fault := range s.faults {
		if fault.Endpoint != endpoint {
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
