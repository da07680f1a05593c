package identity_test

import (
	"fmt"
	"os"

	"github.com/helseid-go/sdk/helseid/identity"
)

// A user, as a login or an access token gives it.
func Example() {
	user := identity.User{
		Name:                   "Ola Nordmann",
		PersonalIdentityNumber: identity.NewPersonalIdentityNumber("06828399789"),
		HPRNumber:              "565505933",
		SecurityLevel:          identity.SecurityLevel4,
	}
	if user.SecurityLevel >= identity.SecurityLevel3 && user.HPRNumber.Valid() {
		fmt.Println(user.Name, "has HPR number", user.HPRNumber)
	}
	fmt.Println("identity number:", user.PersonalIdentityNumber)
	// Output:
	// Ola Nordmann has HPR number 565505933
	// identity number: ***********
}

// The digits are in no log line by mistake: only Reveal gives them.
func ExamplePersonalIdentityNumber() {
	number := identity.NewPersonalIdentityNumber("06828399789")
	fmt.Printf("%v %+v\n", number, number)
	fmt.Println(len(number.Reveal()))
	// Output:
	// *********** ***********
	// 11
}

func ExampleOrganizationNumber_ValidCheckDigit() {
	fmt.Println(identity.OrganizationNumber("994598759").ValidCheckDigit())
	fmt.Println(identity.OrganizationNumber("994598758").ValidCheckDigit())
	// Output:
	// true
	// false
}

// Configurations take passwords and keys as secrets, so that they can be printed.
func ExampleNewSecret() {
	_ = os.Setenv("REDIS_URL", "rediss://user:password@redis.example.no:6379") // the platform does this

	url := identity.NewSecret(os.Getenv("REDIS_URL"))
	fmt.Println(url, len(url.Reveal()))
	// Output: [redacted] 44
}
