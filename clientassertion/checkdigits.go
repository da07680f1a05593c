package clientassertion

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/helseid-go/sdk/internal/jose"
	"github.com/helseid-go/sdk/internal/orgnr"
)

// organizationSystems are the code systems whose identifiers are organisation
// numbers.
var organizationSystems = []string{systemMultiTenant, systemSingleTenant, systemSingleTenantOld}

// CheckDigits returns an error if an organisation number in the detail fails the check
// digit test (modulus 11). The error names the member with the number. Organisation
// numbers are recognised by their code system, however the detail was made. All real
// numbers pass; some of Norsk helsenett's test organisations do not, so call it in
// production only.
func (d Detail) CheckDigits() error {
	object, err := jose.ParseObject([]byte(d.String()))
	if err != nil {
		return errEmptyDetail
	}
	return errors.Join(wrongDigits(object, "")...)
}

// wrongDigits checks an object and everything inside it.
func wrongDigits(object jose.Object, path string) []error {
	var errs []error
	if system, ok := object.Get("system").Text(); ok && slices.Contains(organizationSystems, system) {
		id, _ := object.Get("id").Text() // as in an attest
		errs = append(errs, wrongDigit("organisation number", id, join(path, "id")))
		value, _ := object.Get("value").Text()
		parent, child := "", value
		if pair, ok := strings.CutPrefix(value, multiTenantPrefix); ok {
			parent, child, _ = strings.Cut(pair, ":")
		}
		errs = append(errs, wrongDigit("parent organisation number", parent, join(path, "value")))
		errs = append(errs, wrongDigit("child organisation number", child, join(path, "value")))
	}
	for _, name := range object.Names() {
		errs = append(errs, wrongDigitsIn(object.Get(name), join(path, name))...)
	}
	return errs
}

func wrongDigitsIn(value jose.Value, path string) []error {
	if object, ok := value.Object(); ok {
		return wrongDigits(object, path)
	}
	var errs []error
	elements, _ := value.Array()
	for i := range elements {
		errs = append(errs, wrongDigitsIn(elements[i], fmt.Sprintf("%s[%d]", path, i))...)
	}
	return errs
}

// wrongDigit checks one number. It ignores text that is not an organisation number.
func wrongDigit(name, number, path string) error {
	if !orgnr.IsNumber(number) || orgnr.HasValidCheckDigit(number) {
		return nil
	}
	return fmt.Errorf("%s: the check digit is wrong: is there a typing error? (%s)", name, path)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
