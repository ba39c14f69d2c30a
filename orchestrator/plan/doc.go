// Package plan reads and runs Bolt's YAML plans (orchestrator.md §8.4).
//
// # A plan
//
//	description: text
//	private:     true or false
//	parameters:  name: {type: a Puppet type, default: a value, description: text}
//	steps:       a list of steps
//	return:      a value
//
// A step has exactly one of the keys that say what it does, and of the others
// those that its kind takes:
//
//	message, verbose   name description targets (both do nothing)
//	eval               name description targets (both do nothing)
//	command            targets! name description catch_errors env_vars run_as
//	script             targets! name description catch_errors env_vars run_as arguments
//	task               targets! name description catch_errors noop run_as parameters
//	upload, download   targets! destination! name description catch_errors run_as
//	resources          targets! name description catch_errors noop run_as
//	plan               targets name description catch_errors run_as parameters
//
// A step that downloads takes an absolute path on the targets, and a destination
// that is relative and has no . or .. in it: see package download.
//
// # Resources
//
// A step with resources is a list of them, which are applied in its order:
//
//	package: nginx              or    type: package
//	parameters: {ensure: …}           title: nginx
//	                                  parameters: {ensure: …}
//
// Classes and defined types are refused, as nothing here compiles. require,
// before, notify and subscribe are references to resources of the list, such as
// Package[nginx], or lists of such, and do not contradict its order. What is
// written as an expression is checked when the step runs, all else when the plan
// is loaded (package apply).
//
// # Values
//
// A value may be an expression. Which one is depends on how it is written:
//
//	'in single quotes'   the text as it is
//	"in double quotes"   text with $name and ${expression} in it
//	|                    a block: statements, of which the last one is the value
//	$name …              plain, and begins with $: an expression
//	anything else        what YAML says: text, number, yes and no, null, list, map
//
// Numbers stay as they are written. Aliases, tags and merge keys are refused.
//
// # Expressions
//
// They are a part of the Puppet language:
//
//	block   = { "$" name "=" expr } expr
//	expr    = or; operators from weak to strong, all binary ones from the left:
//	          or | and | < <= > >= | == != | + - | * / % | =~ !~ | in | ! - | postfix
//	postfix = primary { "[" expr { "," expr } "]" | "." name [ "(" [ args ] ")" ] [ lambda ] }
//	primary = $name | number | 'text' | "text" | true | false | undef | default | ( expr )
//	        | "[" [ args ] "]" | "{" [ expr "=>" expr { "," … } ] "}" | name "(" [ args ] ")" [ lambda ]
//	        | /regular expression/     behind =~ and !~, and as an argument
//	lambda  = "|" [ $name { "," $name } ] "|" "{" block "}"
//
// An index stands right behind what it is of, without a blank. What else the
// language has, what a name does not stand for, and what a function does not
// take is refused when the plan is loaded. $name is a parameter, the result of
// an earlier step, or $steps: a map of the results of all named steps so far.
//
// As in Puppet, texts are equal whatever their case, 1 == 1.0, / of integers
// rounds down, + joins lists and maps, - takes away, and everything but false
// and undef is true. Unlike there, maps have no order of their own: they go by
// their keys.
//
// # Results
//
// A step of targets gives a ResultSet, one Result for each target: .ok .ok_set
// .error_set .first .names .targets .count .empty .find(name) .to_data, [n],
// and all that lists have; of a Result: .ok .target .value .message .action
// .status .error .to_data and ['key'] of its value.
//
// Of a step with resources .action is apply, and the value has Puppet's report.
//
// A step fails when a target's result has an _error: kind bolt/run-failure,
// or bolt/apply-failure of resources, with action, object and result_set in its
// details, and the plan ends with it. With catch_errors the step's value is the ResultSet all the same; that
// of a plan step is its Error (.kind .msg .details .issue_code).
//
// A Sensitive value, which parameters of such a type are, shows nothing of
// itself until .unwrap. Tasks and plans that get one as a parameter get what
// is in it.
package plan
