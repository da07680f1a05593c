package helseidtest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/helseid-go/sdk/helseid/helseidtest/mint"
	"github.com/helseid-go/sdk/helseid/identity"
)

// The built-in users, by their synthetic national identity numbers. Every server has
// them; [mint.DefaultPersonalIdentityNumber] is the first of them, a clinician at level
// 4.
const (
	// ClinicianAtLevel3 is in the register of health personnel, and logs in at
	// level 3.
	ClinicianAtLevel3 = "14897541182"

	// PersonWithoutHPRNumber is not in the register, and logs in at level 4.
	PersonWithoutHPRNumber = "21916841008"
)

// User is a synthetic person who can log in. Printed, logged or marshalled it
// reads "[redacted]".
type User struct {
	unprintable

	// PersonalIdentityNumber is a national identity number with valid check digits and
	// a month that no real person's number has. Required.
	PersonalIdentityNumber string

	GivenName, MiddleName, FamilyName string

	// HPRNumber is the number in the register of health personnel. Empty means
	// that the person is not in it.
	HPRNumber string

	// HPRApprovals are the approvals that userinfo returns from the register.
	HPRApprovals []identity.HPRApproval

	// SecurityLevel is 2 to 4. Zero means 4. On a login page, the user can choose a
	// higher level.
	SecurityLevel int

	// AssuranceLevel is low, substantial or high. Empty means the level that
	// corresponds to the security level.
	AssuranceLevel string

	// IdentityProvider is where the user logs in unless the client requests another
	// one. Empty means testidp-oidc.
	IdentityProvider string

	// Network is internett or helsenett. Empty means internett.
	Network string

	// Subject is the claim sub. Empty means a pseudonym that is always the same for the
	// person.
	Subject string
}

func builtInUsers() []User {
	approved := func(profession string) []identity.HPRApproval {
		return []identity.HPRApproval{{
			Profession:        profession,
			Authorization:     identity.HPRCode{Value: "1", Description: "Autorisasjon"},
			RequisitionRights: []identity.HPRCode{{Value: "1", Description: "Full rekvisisjonsrett"}},
		}}
	}
	return []User{
		{
			PersonalIdentityNumber: mint.DefaultPersonalIdentityNumber, GivenName: "KVART", FamilyName: "GREVLING",
			HPRNumber: mint.DefaultHPRNumber, HPRApprovals: approved("LE"), SecurityLevel: 4, Subject: mint.DefaultSubject,
		},
		{
			PersonalIdentityNumber: ClinicianAtLevel3, GivenName: "STILLE", MiddleName: "BLÅ", FamilyName: "ELG",
			HPRNumber: "565501872", HPRApprovals: approved("SP"), SecurityLevel: 3,
		},
		{PersonalIdentityNumber: PersonWithoutHPRNumber, GivenName: "RASK", FamilyName: "TRANE", SecurityLevel: 4},
	}
}

// AddUser adds a person who can log in, or replaces the one with the same number, with all
// fields: [AtLevel] changes the level of a login alone. Real persons' numbers are refused.
func (s *Server) AddUser(user User) error {
	if !isSyntheticNumber(user.PersonalIdentityNumber) {
		return errors.New("helseidtest: PersonalIdentityNumber must be synthetic: eleven digits, a month above 40 and right check digits")
	}
	if user.SecurityLevel != 0 && (user.SecurityLevel < 2 || user.SecurityLevel > 4) {
		return errors.New("helseidtest: SecurityLevel must be 2, 3 or 4")
	}
	if number, err := strconv.Atoi(user.HPRNumber); user.HPRNumber != "" && (err != nil || number < 0) {
		return errors.New("helseidtest: HPRNumber must be a number")
	}
	user.SecurityLevel = cmp.Or(user.SecurityLevel, 4)
	user.IdentityProvider = cmp.Or(user.IdentityProvider, mint.TestIdentityProvider)
	user.Network = cmp.Or(user.Network, "internett")
	if user.Subject == "" {
		pseudonym := sha256.Sum256([]byte("helseidtest " + user.PersonalIdentityNumber))
		user.Subject = base64.StdEncoding.EncodeToString(pseudonym[:])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, other := range s.users {
		if other.PersonalIdentityNumber == user.PersonalIdentityNumber {
			s.users[i] = user
			return nil
		}
	}
	s.users = append(s.users, user)
	return nil
}

// Users returns the people who can log in, the built-in ones first.
func (s *Server) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.users)
}

// RemoveUser removes a person, but never the last one.
func (s *Server) RemoveUser(personalIdentityNumber string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.users) > 1 {
		s.users = slices.DeleteFunc(s.users, func(user User) bool { return user.PersonalIdentityNumber == personalIdentityNumber })
	}
}

func (s *Server) userBy(matches func(User) bool) (User, bool) {
	users := s.Users()
	if i := slices.IndexFunc(users, matches); i >= 0 {
		return users[i], true
	}
	return User{}, false
}

func (s *Server) userByNumber(number string) (User, bool) {
	return s.userBy(func(user User) bool { return user.PersonalIdentityNumber == number })
}

// isSyntheticNumber checks an identity number's digits (modulus 11 twice), and that its
// month is one that is used for test data.
func isSyntheticNumber(number string) bool {
	if len(number) != 11 || strings.Trim(number, "0123456789") != "" {
		return false
	}
	fits := func(weights ...int) bool {
		sum := 0
		for i, weight := range weights {
			sum += weight * int(number[i]-'0')
		}
		return sum%11 == 0
	}
	return number[2] >= '4' && fits(3, 7, 6, 1, 8, 9, 4, 5, 2, 1) && fits(5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
}

// name returns the claim of that name.
func (u User) name() string {
	return strings.Join(strings.Fields(u.GivenName+" "+u.MiddleName+" "+u.FamilyName), " ")
}
