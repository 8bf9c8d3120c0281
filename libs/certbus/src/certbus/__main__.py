from certbus.cli import main

main()
