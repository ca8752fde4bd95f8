"""Search: which recipes are worth a try, and which of those that were measured is best.

It reads records (runs, outcomes, measurements) and knows neither charts nor how anything is
measured; charts, command line and pages ask it.

    space         axes and grids of recipes
    loss          what a candidate loses of the accuracy, and by which metric that is known
    constraints   limits on that loss and on the latency
    pareto        accuracy against a cost, and what no other recipe beats
    choose        the one rule of "best"
    goal          what a run that searches by itself tries next
"""
