# Ways to name what the chart rendered; the input is the list of all objects.
def kind($kind): map(select(.kind == $kind));
def only($kind): kind($kind) | if length == 1 then .[0] else error("\(length) objects of kind \($kind)") end;
def pod: only("Deployment").spec.template;
def container: pod.spec.containers | if length == 1 then .[0] else error("one container") end;
def args: container.args;
# Every verb that the rules of these roles give on group/resource, sorted.
def verbs($group; $resource): [.[].rules[] | select((.apiGroups | index([$group])) and (.resources | index([$resource]))) | .verbs[]] | unique;
def may($group; $resource; $verbs): verbs($group; $resource) == ($verbs | sort);
