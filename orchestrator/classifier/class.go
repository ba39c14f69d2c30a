package classifier

// Class is a class of Puppet that an environment has.
type Class struct {
	Name        string // in lower case: apache::mod::ssl
	Environment string
}
