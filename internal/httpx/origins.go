package httpx

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// ParseOrigins converts a list of origins such as "https://api.example.no" to the form
// of [Origin]. Nil means no list. An empty list that is not nil is an error, since its
// elements may have been lost by mistake. The error names the field.
func ParseOrigins(field string, texts []string) ([]string, error) {
	if texts == nil {
		return nil, nil
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("field %s has no element: leave it nil for no list", field)
	}
	var errs []error
	origins := make([]string, 0, len(texts))
	for _, text := range texts {
		u, err := url.Parse(text)
		if err == nil {
			err = CheckSecure(u)
		}
		if err != nil || u.User != nil || strings.ContainsAny(text, "?#") || strings.Trim(u.Path, "/") != "" {
			errs = append(errs, fmt.Errorf("field %s: %q is not an origin in ASCII such as https://api.example.no", field, text))
			continue
		}
		origins = append(origins, Origin(u))
	}
	return origins, errors.Join(errs...)
}
