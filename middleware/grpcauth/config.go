package grpcauth

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc"

	"github.com/helseid-go/sdk/middleware"
)

// ErrConfig is wrapped by every error about the configuration.
var ErrConfig = words("grpcauth: configuration")

// words makes an error whose text may stand in a log.
func words(text string) error { return &failure{text} }

type failure struct{ text string }

func (f *failure) Error() string { return f.text }

// LogValue tells the SDK that its log lines may quote the text.
func (f *failure) LogValue() slog.Value { return slog.StringValue(f.text) }

// Config says who may call which methods. A method that it does not name may be called
// by nobody.
type Config struct {
	// Auth makes the decisions. Required.
	Auth *middleware.Middleware

	// Services are the requirements of whole services, by their names without slashes,
	// such as "journal.v1.Journal". An empty list means that a valid token and proof
	// are enough.
	Services map[string][]middleware.Requirement

	// Methods are the requirements of single methods, by their full names with both
	// slashes, such as "/journal.v1.Journal/Get", which generated code has as a
	// constant. They are checked in addition to those of the method's service.
	Methods map[string][]middleware.Requirement

	// Open are services and methods that everybody may call, without a token, such as
	// "grpc.health.v1.Health". Their handlers have no claims. What is said about a
	// method goes before what is said about its service.
	Open []string

	// KeepExpiredStreams lets a stream go on after its token has expired. By default, it
	// ends then, after the leeway of the token's validation: 5 seconds, unless
	// [tokenvalidation.Config] says otherwise.
	KeepExpiredStreams bool
}

// Guard has the interceptors of a server. It is safe for concurrent use.
type Guard struct {
	auth        *middleware.Middleware
	rules       map[string]rule // of services and methods
	keepExpired bool
}

// rule says who may call a method, or the methods of a service.
type rule struct {
	open         bool
	requirements []middleware.Requirement
}

// New checks the configuration and reports all its mistakes at once. It makes no
// network call.
func New(config Config) (*Guard, error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	guard := &Guard{auth: config.Auth, rules: make(map[string]rule), keepExpired: config.KeepExpiredStreams}
	if config.Auth == nil {
		fail("field Auth is required")
	}
	if len(config.Services)+len(config.Methods)+len(config.Open) == 0 {
		fail("fields Services, Methods and Open are empty: nobody may call anything")
	}
	list := func(field, name string, rule rule) {
		if slices.ContainsFunc(rule.requirements, func(r middleware.Requirement) bool { return r == nil }) {
			fail("field %s: a requirement of %q is nil", field, name)
		}
		guard.rules[name] = rule
	}
	for _, name := range slices.Sorted(maps.Keys(config.Services)) {
		if !isService(name) {
			fail("field Services: %q is not the name of a service, such as package.Service", name)
		}
		list("Services", name, rule{requirements: config.Services[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(config.Methods)) {
		if !isMethod(name) {
			fail("field Methods: %q is not the full name of a method, such as /package.Service/Method", name)
		}
		service := guard.rules[serviceOf(name)]
		list("Methods", name, rule{requirements: slices.Concat(service.requirements, config.Methods[name])})
	}
	for _, name := range config.Open {
		if !isService(name) && !isMethod(name) {
			fail("field Open: %q is the name neither of a service nor of a method", name)
		}
		if _, listed := guard.rules[name]; listed {
			fail("field Open: %q is named twice, or has requirements", name)
		}
		list("Open", name, rule{open: true})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return guard, nil
}

// Check compares the configuration with the services that are registered at a server,
// and reports all differences: methods that nobody may call, because they are not
// named, and names that the server does not have. Call it after the registrations and
// before the server starts. The error wraps [ErrConfig].
func (g *Guard) Check(server *grpc.Server) error {
	var errs []error
	exists := make(map[string]bool)
	services := server.GetServiceInfo()
	for _, service := range slices.Sorted(maps.Keys(services)) {
		exists[service] = true
		for _, method := range services[service].Methods {
			name := "/" + service + "/" + method.Name
			exists[name] = true
			if _, found := g.ruleOf(name); !found {
				errs = append(errs, fmt.Errorf("%s is not named: nobody may call it", name))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.rules)) {
		if !exists[name] {
			errs = append(errs, fmt.Errorf("%s is not registered at the server", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// ruleOf returns the rule for a method, by its full name. Without one, nobody may call
// it.
func (g *Guard) ruleOf(fullMethod string) (found rule, ok bool) {
	if found, ok = g.rules[fullMethod]; ok {
		return found, true
	}
	found, ok = g.rules[serviceOf(fullMethod)]
	return found, ok
}

// serviceOf returns the service of a method's full name, or "" if it is not one.
func serviceOf(fullMethod string) string {
	slash := strings.LastIndexByte(fullMethod, '/')
	if slash < 1 || fullMethod[0] != '/' {
		return ""
	}
	return fullMethod[1:slash]
}

// isService accepts the names that Protocol Buffers can have. A pattern is not one.
func isService(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") == ""
}

func isMethod(name string) bool {
	service := serviceOf(name)
	return isService(service) && isService(strings.TrimPrefix(name, "/"+service+"/"))
}
