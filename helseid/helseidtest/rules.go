package helseidtest

import "github.com/helseid-go/sdk/helseid/helseidtest/rule"

// Relaxed switches rules off, for clients that do not follow them yet, or to see how a
// client behaves with a less strict server.
func Relaxed(rules ...rule.Rule) Option {
	return option(func(o *options) {
		if o.relaxed == nil {
			o.relaxed = make(map[rule.Rule]bool)
		}
		for _, name := range rules {
			o.relaxed[name] = true
		}
	})
}

func (s *Server) demands(name rule.Rule) bool { return !s.options.relaxed[name] }
